// Published without types beside them; `tests/unit/console/test_vendored.py` holds them to what was published.
declare module "@codemirror/*";
declare module "@lezer/*";
