/** Thrown at start for an unusable key, secret or list in the configuration. Its message names the setting. */
export class AuthSetupError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AuthSetupError";
  }
}
