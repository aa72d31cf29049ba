import type { Field } from "./field.ts";

/** Size of an attack. */
export interface AttackPlan {
  readonly seconds: number;
  readonly addresses: number;
}

/** A scripted attack. */
export interface Attack {
  /** One line for the documentation. */
  readonly summary: string;
  /** Steps a second. */
  readonly perSecond: number;
  /** Settings of the service beside the defaults. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Limit of the service's open files. Without it, the limit of this machine applies. */
  readonly descriptors?: number;
  /** Whether honest times depend on the attack by design, so that they are shown and have no bar. */
  readonly sharesSlots?: true;
  /** Whether an anonymous client must be able to set a context afterwards. */
  readonly contextAfterwards?: true;
  /** Most bytes that the attack may make the service hold, from the settings. */
  held(plan: AttackPlan): number;
  /** Begins the attack. Returns what is done in step `n`. */
  begin(field: Field): (n: number) => void;
}
