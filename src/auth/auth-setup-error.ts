/** A key, secret or list of the configuration that cannot be used; its message names the setting and stops the start. */
export class AuthSetupError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AuthSetupError";
  }
}
