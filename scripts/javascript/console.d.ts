// What the server answers, and what all scripts share.

type Action = "next" | "previous" | "select" | "confirm_fraud" | "false_positive" | "escalate" | "assign" | "undo" | "next_for_me" | "shortcuts";

/** Keyboard shortcuts of a user; an action without a key has an empty one. */
interface Shortcuts {
  on: boolean;
  actions: { action: Action; does: string; usual: string; key: string }[];
}

/** Who is signed in. */
interface Session {
  name: string;
  role: "viewer" | "analyst" | "lead" | "admin";
  csrf: string;
  base_currency: string;
  minor_digits: Record<string, number>;
  pages: { name: string; title: string; listed: boolean }[];
  shortcuts: Shortcuts;
}

// Elements

/** What can stand inside an element; what is empty is left out. */
type Child = Node | string | number | bigint | false | null | undefined | readonly Child[];

/** An event of an element that it was given to itself or that came up from inside of it. */
type Heard<E extends Element, T extends Event> = Omit<T, "target" | "currentTarget"> & T & { readonly target: Element; readonly currentTarget: E };
type Hears<E extends Element, T extends Event> = ((event: Heard<E, T>) => unknown) | false | null | undefined;
type Changes<E extends Element> = ((event: Event & { readonly target: E }) => unknown) | false | null | undefined;

/** Attributes and, as on and its name, listeners; those without a value are left out. */
interface Attributes<E extends Element> {
  onclick?: Hears<E, MouseEvent>;
  onblur?: Hears<E, FocusEvent>;
  onkeydown?: Hears<E, KeyboardEvent>;
  onsubmit?: Hears<E, SubmitEvent>;
  onclose?: Hears<E, Event>;
  onload?: Hears<E, Event>;
  onerror?: Hears<E, Event>;
  onchange?: Changes<E>;
  oninput?: Changes<E>;
  [name: string]: unknown;
}

// Pages

/** What a page is given; its listeners and polls end with the signal. */
interface Tools {
  session: Session;
  go: Go;
  announce: Announce;
  signal: AbortSignal;
  path: string[];
  parameters: URLSearchParams;
}
type Go = (path: string, options?: { replace?: boolean }) => unknown;
type Announce = (text: string, tone?: string, action?: Offered | null) => void;

/** Something that can be done while a message stands. */
interface Offered {
  name: string;
  does: () => unknown;
  milliseconds?: number;
}

type Role = Session["role"];

// Alerts and cases

/** What is known of any payment. */
interface Paid {
  key: string;
  transaction_id: string;
  card_token: string;
  customer_id: string;
  merchant_id: string;
  device_id?: string | null;
  amount_minor: number;
  currency: string;
  billing_amount_minor: number;
  event_ms: number;
  mcc: string;
  mcc_name?: string | null;
  merchant_country: string;
  channel: string;
  outcome: string;
}

type Status = "open" | "escalated" | "confirmed_fraud" | "false_positive";

interface Alert extends Paid {
  decided_ms: number;
  status: Status;
  version: number;
  severity: number;
  score?: number;
  scored_by: string;
  rules: string[];
  reasons: string[];
  reason_sources?: string[];
  model_version?: string | null;
  policy_version: string;
  assignee?: string | null;
  fraud_type?: string | null;
  snoozed_until_ms?: number | null;
  tags?: string[];
  label_pending?: { due_ms: number; at_ms: number; taken?: unknown } | null;
  history?: HistoryEntry[];
}

type Change = "assign" | "release" | "note" | "escalate" | "snooze" | "tag" | "split" | "confirm_fraud" | "false_positive" | "undo" | "reopen";

interface HistoryEntry {
  by: string;
  at_ms: number;
  change: Change | "join";
  note?: string | null;
  to?: string | null;
  minutes?: number | null;
  tags?: string[] | null;
  fraud_type?: string | null;
}

/** What a change needs beside its name. */
interface ChangeDetails {
  to?: string;
  minutes?: number;
  tags?: string[];
  fraud_type?: string;
}

/** A row of the queue: alerts that are worked on together. */
interface Case {
  case: string;
  lead: Alert;
  waiting: Alert[];
  alerts: number;
  billing_minor: number;
  oldest_ms: number;
  newest_ms: number;
  assignees: string[];
  prevented_minor?: number;
}

interface Cases {
  cases: Case[];
  cursor: string | null;
  matching: number;
  alerts: number;
  complete: boolean;
  as_of_ms?: number | null;
  sla_minutes: number;
}

interface ClosedAlerts {
  alerts: Alert[];
  cursor: string | null;
  sla_minutes: number;
}

type Facets = Record<"outcome" | "assignee" | "country" | "channel" | "rule" | "tag", Record<string, number>>;

interface CaseAlerts {
  by: string;
  day_ms: number;
  alerts: Alert[];
  more: boolean;
  joined: boolean;
  cards: number;
}

/** A payment of a card, with its alert's status if it has one. */
interface CardPayment extends Paid {
  status?: Status | null;
  home_lat?: number | null;
  home_lon?: number | null;
  merchant_lat?: number | null;
  merchant_lon?: number | null;
}

interface Usual {
  payments: number;
  since_ms: number;
  same: Partial<Record<string, number>>;
  amount: { low_minor: number; high_minor: number; smaller: number };
}

interface CardHistory {
  payments: CardPayment[];
  earlier: boolean;
  later: boolean;
  usual: Usual;
  complete: boolean;
}

interface MerchantHistory {
  since_ms: number;
  payments: number;
  cards: number;
  alerts: number;
  billing_minor: number;
  days: Day[];
  complete: boolean;
}

interface Day {
  day_ms: number;
  payments: number;
  alerts: number;
}

type Missing = "rules" | "archive" | "model" | "policy" | "differs";

type Refused = { key: string; refused: string | null };

// Links

type Kind = "card" | "customer" | "merchant" | "device" | "ip";

interface LinkNode {
  key: string;
  kind: Kind;
  name: string;
  payments: number;
  alerts: number;
  billing_minor: number;
  status?: Status | null;
}

interface Link {
  card: string;
  to: string;
  payments: number;
}

interface Links {
  root: string;
  nodes: LinkNode[];
  links: Link[];
  more: boolean;
}

// Acts and lists

type Act = "block" | "watch" | "allow";

interface OnList {
  list: string;
  kind: Act | "named";
  state: string;
  expires: string | null;
  by: string | null;
  why: string | null;
  may_remove: boolean;
}

interface Target {
  of: Kind;
  key: string;
  name: string;
  payments: number;
  more: boolean;
  since_ms: number | null;
  effects: Record<Act, { payments: number; billing_minor: number }>;
  needs_lead: Act[];
  lists: OnList[];
}

interface ListEntry {
  value: string;
  expires: string | null;
  expired: boolean;
  by: string;
  at: string;
  why: string;
  note: string;
}

interface ListPage {
  size: number;
  entries: ListEntry[];
  next: string | null;
}

interface ListChanged {
  added: number;
  replaced: number;
  removed: number;
}

// Search

interface Named {
  kind: Kind;
  key: string;
  name: string;
  payments?: number;
}

interface FoundPayment extends Paid {
  status?: Status | null;
  authorisation_result: string;
  score: number | null;
  reasons: string[];
}

interface Found {
  payments: FoundPayment[];
  names: Partial<Record<Kind, Named[]>>;
  more: string[];
  complete: boolean;
}

interface About {
  name: Named;
  payments: number;
  more: boolean;
  alerts: number;
  billing_minor: number;
  days: Day[];
  shared: Partial<Record<Kind, Named[]>>;
  newest: FoundPayment[];
  complete: boolean;
}

// Rules

type RuleState = "draft" | "shadow" | "live" | "retired";

interface Rule {
  id: string;
  state: RuleState;
  outcome: string;
  severity: number;
  description: string;
  when: string;
  reason: string;
  text: string;
  suppressible: boolean;
  rollout: number | null;
  owner: string;
  tags: string[];
  may_become: RuleState[];
}

interface Thresholds {
  segment: string;
  when: string;
  review: number | null;
  decline: number | null;
}

interface RulePack {
  version: string;
  rules: Rule[];
  thresholds: Thresholds[];
  shadow_thresholds: Thresholds[];
  lists: { name: string; kind: Act | "named"; of: string; state: RuleState; may_become: RuleState[]; entries: number }[];
}

interface Rate {
  rule: string;
  fired: number;
  precision: number | null;
  alone: number;
}

interface Rates {
  rules: Rate[];
  complete: boolean;
  decisions: number;
  mature: number;
  first_ms: number;
  last_ms: number;
}

interface Vocabulary {
  fields: { name: string; kind: string; choices: string[] }[];
  functions: string[];
}

interface Proposal {
  name: string;
  title: string;
  state: "proposed" | "approved" | "rejected" | "withdrawn";
  in_shadow: boolean | null;
  by: string;
  at_ms: number;
  decided_by: string | null;
  fault: string | null;
  diff: string | null;
}

interface PolicyChange {
  number: number;
  act: string;
  what: string;
  by: string;
  at_ms: number;
  diff: string;
}

interface Run {
  job_id: string;
  title: string;
  owner: string;
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  before_it: number;
  done: number;
  total: number | null;
  left_ms: number | null;
  error: string | null;
  started_ms: number;
  ended_ms: number | null;
}

/** Figures of a policy over the decisions of a backtest, by their names. */
type Variant = { mature: number } & Record<string, number | null>;

interface BacktestResult {
  base_currency: string;
  decisions: number;
  known_frauds: number;
  variants: { live: Variant; candidate: Variant };
  by: { day: Record<"live" | "candidate", { day: string; reviews: number; declines: number }[]> };
  rules: { rule: string; fired: number; precision: number | null; already_alerted: number }[];
  budget: {
    reviews_per_day: number;
    saved_minor_per_day: number;
    range: { saved_minor_per_day: number[] };
    thresholds: Record<string, { review: number | null; decline: number | null }>;
  } | null;
  samples: Record<string, { billing_amount_minor: number; card_token: string; merchant_id: string; reasons: string[] }[]>;
}

interface EndedRun extends Run {
  result: BacktestResult;
  figures: [key: string, title: string, form: string][];
}

type Edit = { kind: "state"; rule: string; state: RuleState } | { kind: "thresholds"; thresholds: Record<string, { review: number | null; decline: number | null }> };

interface Suggestion {
  kind: "noisy" | "overlapping" | "thresholds";
  title: string;
  why: string;
  edit: Edit;
}

interface Suggestions {
  looked: { decisions: number; mature: number; reviews_per_day: number | null; ended_ms: number; owner: string } | null;
  under_way: Run | null;
  suggestions: Suggestion[];
}

/** What is to be tried: a draft's text, an edit or a proposal. */
interface Trial {
  text?: string;
  edit?: Edit;
  proposal?: string;
  days?: number;
  maturity_days?: number;
  reviews_per_day?: number | null;
}

// Watching

interface Reached {
  works: boolean | null;
  since_ms: number;
}
type Reach = Partial<Record<"archive" | "job", Reached>>;

interface Live {
  reach: Reach;
  currency: string;
  as_of_ms: number | null;
  last_decided_ms: number | null;
  warming_up: boolean;
  paused: { receiver: string; since_ms: number; problem: string }[];
  outcomes: Record<"approve" | "review" | "decline", number>;
  window_s: number;
  tx_per_s: number;
  alerts_per_s: number;
  latency_p50_ms: number | null;
  latency_p99_ms: number | null;
  to_alert_p50_ms: number | null;
  to_alert_p99_ms: number | null;
  answers: number;
  answer_p50_ms: number | null;
  answer_p99_ms: number | null;
  lag_ms: number | null;
  at_risk_minor: number;
  truth_known: boolean;
  campaigns: Campaign[];
  alerts: { key: string; decided_ms: number; outcome: string; amount_minor: number; currency: string; card_token: string; reasons: string[] }[];
  series: { at_ms: number[] } & Record<"tx_per_s" | "alerts_per_s" | "latency_p50_ms" | "latency_p99_ms" | "answer_p99_ms", (number | null)[]>;
}

interface Campaign {
  campaign: string;
  frauds: number;
  alerted: number;
  lost_minor: number;
  saved_minor: number;
}

interface Phase {
  phase: string;
  mean_ms: number;
  p99_ms: number;
}

interface Shard {
  stream: string;
  shard: string;
  lag_ms: number | null;
  lag_records: number | null;
  buffer_bytes: number | null;
  fetch_ms: number | null;
  throttled: number;
  failed: number;
}

interface System {
  reach: Reach;
  read_ms: number | null;
  silent_s: number | null;
  stall_s: number;
  span_s: number;
  shards: Shard[];
  phases: Phase[];
  triggers: [at_ms: number, mean_ms: number | null][];
  scoring: {
    lately: Record<string, number>;
    expected: string;
    endpoint: string | null;
    calls: number;
    call_p50_ms: number | null;
    call_p99_ms: number | null;
    call_retries: number;
    fallbacks: Record<string, number>;
  };
  retries: Record<string, number>;
  state: { operator: string; bytes: number | null }[];
  versions: { model: string | null; challenger: string | null; policy: string | null; query: string; batch?: number; program: string; python: string; decided_ms: number | null };
  dead_letters: DeadLetterCounts;
}

type Standing = "waiting" | "replayed" | "redacted";
type DeadLetterCounts = Partial<Record<string, Record<Standing, number>>>;

interface DeadLetter {
  id: string;
  reason: string;
  standing: Standing;
  arrival_ms: number;
  field: string | null;
  detail: string | null;
}

type CourseField = "at_ms" | "frauds" | "alerted" | "lost_minor" | "saved_minor";

interface LabRun extends Campaign {
  name: string;
  state: "running" | "sent" | "stopped" | "failed";
  cases: number;
  by: string;
  started_ms: number;
  failure: string | null;
  first_detection_ms: number | null;
  sent: number;
  cards: number;
  cards_found: number;
  course: number[][];
}

interface LabPage {
  currency: string;
  max_cases: number;
  campaigns: { name: string; meaning: string }[];
  course_fields: CourseField[];
  runs: LabRun[];
}

// Models

/** Work that goes on in the background. */
interface Job<Result> {
  state: string;
  done: number;
  error: string | null;
  result: Result | null;
}

interface Model {
  role: string;
  version: string;
  features: string[];
  metrics: { average_precision: number; auc: number };
  rows: number;
  frauds: number;
  trained_until: string;
  importance: { feature: string; share: number }[];
  card: Record<string, string>;
}

interface Models {
  models: Model[];
  versions: { version: string; stage: string; staged_at: string; staged_by: string | null; note: string | null; metrics: { average_precision: number } }[];
}

interface Worth {
  decisions: number;
  reliability: { from: number; to: number; cases: number; mean_score: number; fraud_rate: number }[];
  weeks: ({ week_ms: number } & Record<"precision" | "recall" | "recall_by_money", number | null>)[];
}

interface Span {
  from: string;
  until: string;
  transactions: number;
}

interface Drift {
  shifts: { name: string; index: number; usual: number; level: string }[];
  alert_rate: { reference: number; live: number };
  shifted: string[];
  reference: Span;
  live: Span;
}

// Team and audit

type Cell = string | number | null;
type TeamTable = "analysts" | "queues" | "rules" | "bands" | "days" | "pairs" | "disagreements";

type Team = Record<TeamTable, Record<string, Cell>[]> & {
  as_of_ms: number;
  sla_ms: number;
  share: number;
  due: number;
  agreement: { agreed_share: number | null; kappa: number | null; pairs: number };
};

interface AuditPage {
  lines: { number: number; at_ms: number; by: string; act: string; what: string }[];
  next: number | null;
}

interface SecondLook {
  due: number;
  alert: (Alert & { features?: Record<string, number> }) | null;
}

// Answers by path

interface Gets {
  "/session": Session;
  "/session/means": { provider: boolean };
  "/health": Record<string, boolean>;
  "/alerts/cases": Cases;
  "/alerts/facets": Facets;
  "/alerts/colleagues": string[];
  "/cases/one": { alert: Alert; features: { name: string; text: string }[] };
  "/cases/alerts": CaseAlerts;
  "/cases/find": { alerts: Alert[]; more: boolean; complete: boolean };
  "/cases/card": CardHistory;
  "/cases/merchant": MerchantHistory;
  "/cases/linked": Record<"card" | "device" | "merchant", Alert[]>;
  "/cases/links": Links;
  "/cases/counterfactual": { changes: { text: string; score: number | null }[]; missing: Missing | null };
  "/cases/contributions": { contributions: { text: string; log_odds: number }[]; missing: Missing | null };
  "/acts": { targets: Target[] };
  "/lists": { lists: { name: string; of: string; kind: Act | "named"; state: string; entries: number }[] };
  "/find/payment": { payment: FoundPayment; names: Named[]; complete: boolean };
  "/find/about": About;
  "/rules": RulePack;
  "/rules/rates": Rates;
  "/rules/vocabulary": Vocabulary;
  "/rules/changes": { approval: boolean; proposals: Proposal[]; history: PolicyChange[] };
  "/rules/backtests": { runs: Run[] };
  "/rules/suggestions": Suggestions;
  "/live": Live;
  "/system": System;
  "/system/dead-letters": { dead_letters: DeadLetter[]; next: string | null };
  "/system/dead-letters/record": { data: string };
  "/lab": LabPage;
  "/models": Models;
  "/models/worth": Job<Worth>;
  "/models/drift": Job<Drift>;
  "/team": Job<Team>;
  "/audit": AuditPage;
  "/audit/check": Job<{ lines: number; head: string; fault: string | null }>;
  "/second-looks": SecondLook;
  [history: `/lists/${string}/history`]: { changes: { by: string; at: string; why: string; added: number; removed: number | "all" }[] };
  [text: `/rules/${string}/text`]: { text: string };
  [run: `/rules/backtests/${string}`]: Run | EndedRun;
}

interface Posts {
  "/session": Session;
  "/session/password": null;
  "/session/shortcuts": Shortcuts;
  "/alerts/change": Alert;
  "/alerts/changes": { results: Refused[]; undo_ms: number };
  "/cases/joins": { results: Refused[] };
  "/acts": Target;
  "/acts/removals": Target;
  "/find": Found;
  "/lists": unknown;
  "/rules/lists": unknown;
  "/rules/check": { faults: string[] };
  "/rules/drafts": unknown;
  "/rules/backtests": Run;
  "/rules/suggestions": unknown;
  "/rules/thresholds": Proposed;
  "/rules/rollbacks": Proposed;
  "/second-looks": null;
  "/system/dead-letters/replays": { replayed: number; left_alone: number; waiting: number };
  "/lab/runs": unknown;
  [search: `/lists/${string}/search`]: ListPage;
  [change: `/lists/${string}/entries` | `/lists/${string}/removals` | `/lists/${string}/imports`]: ListChanged;
  [state: `/rules/${string}/state` | `/rules/${string}/rollout` | `/rules/proposals/${string}`]: Proposed;
  [run: `/rules/backtests/${string}/cancel` | `/lab/runs/${string}/stop`]: unknown;
}

/** A change of the policy: in effect, or a proposal that another lead must approve. */
interface Proposed {
  proposal: string | null;
}

/** What is answered at a path; unknown where the path is known only when it runs. */
type Answer<Table, Path extends string> = Path extends keyof Table ? Table[Path] : unknown;

/** Of what is drawn: 1 to 4 are the colours of series. */
type Tone = 1 | 2 | 3 | 4 | "bad" | "warn" | "good" | "soft";
