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
  /** Settings of the service that differ from the defaults. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Limit of the service's open files. Without it, the limit of this machine applies. */
  readonly descriptors?: number;
  /** Whether the times of honest chats depend on the attack by design. They are then shown without a bar. */
  readonly sharesSlots?: true;
  /** Whether an anonymous client must be able to set a context afterwards. */
  readonly contextAfterwards?: true;
  /** Maximum bytes that the attack may make the service hold, from the settings. */
  held(plan: AttackPlan): number;
  /** Begins the attack. Returns a function that executes step `n`. */
  begin(field: Field): (n: number) => void;
}
