/** All faults of the configuration in one error. The service prints its message and exits. */
export class ConfigError extends Error {
  /** One line per fault: setting, given value (never a secret), allowed values. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    const head =
      faults.length === 1
        ? "The configuration has an error:"
        : `The configuration has ${faults.length} errors:`;
    super([head, ...faults.map((fault) => `  ${fault}`)].join("\n"));
    this.name = "ConfigError";
    this.faults = faults;
  }
}
