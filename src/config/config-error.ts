/** Everything that is wrong with the configuration, in one error: the start stops with its message. */
export class ConfigError extends Error {
  /** One line per fault: the name, what was given (never a secret), what is allowed. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    const head =
      faults.length === 1
        ? "The configuration has a fault:"
        : `The configuration has ${faults.length} faults:`;
    super([head, ...faults.map((fault) => `  ${fault}`)].join("\n"));
    this.name = "ConfigError";
    this.faults = faults;
  }
}
