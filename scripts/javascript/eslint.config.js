import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["console/static/vendor/"] },
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: "Build elements with h and s of dom.js." }))],
    },
  },
];
