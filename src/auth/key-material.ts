/** A kind of text that is given in place of a public key, and what to do. */
interface Material extends KeyMaterial {
  readonly pattern: RegExp;
}

/** What was given as a key, and what to do. */
export interface KeyMaterial {
  /** Such as `a certificate`. */
  readonly name: string;
  readonly advice: string;
  /** Whether it is an asymmetric key or holds one, so that it cannot be a secret. */
  readonly isKey: boolean;
}

const PRINT_PUBLIC =
  "set it to the public key, since the server needs no private key: openssl pkey -in FILE -pubout";

/** The first match counts. A private key comes first, since files may hold several blocks. */
const MATERIALS: readonly Material[] = [
  {
    pattern:
      /-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|^PuTTY-User-Key-File|^(?=[^]*"kty"\s*:)[^]*"d"\s*:\s*"/,
    name: "a private key",
    advice: PRINT_PUBLIC,
    isKey: true,
  },
  {
    pattern: /-----BEGIN [A-Z0-9 ]*CERTIFICATE REQUEST-----/,
    name: "a certificate request",
    advice: "print the public key in it: openssl req -in FILE -noout -pubkey",
    isKey: true,
  },
  {
    pattern: /-----BEGIN [A-Z0-9 ]*(CERTIFICATE|PKCS7)-----/,
    name: "a certificate",
    advice: "print the public key in it: openssl x509 -in FILE -noout -pubkey",
    isKey: true,
  },
  {
    pattern: /^\s*(ssh-[a-z0-9]+|ecdsa-sha2-\S+|sk-\S+@openssh\.com) |BEGIN SSH2 PUBLIC KEY/,
    name: "a public key of SSH",
    advice: "convert it: ssh-keygen -e -m PKCS8 -f FILE",
    isKey: true,
  },
  {
    pattern: /-----BEGIN PGP /,
    name: "a key of PGP",
    advice: "use an RSA, EC or Ed25519 key in PEM format",
    isKey: true,
  },
  {
    pattern: /-----BEGIN [A-Z0-9 ]*PARAMETERS-----/,
    name: "parameters without a key",
    advice: "the key itself is missing",
    isKey: true,
  },
  {
    pattern: /"kty"\s*:\s*"(RSA|EC|OKP)"|"keys"\s*:\s*\[/,
    name: "a JSON Web Key",
    advice: "convert it to PEM, or fetch the key in PEM format",
    isKey: true,
  },
  {
    pattern: /^\s*eyJ[\w-]+\.[\w-]+\.[\w-]*\s*$/,
    name: "a token",
    advice: "set it to the key that verifies tokens",
    isKey: false,
  },
  {
    pattern: /^\s*[\w.~:\\/ -]+\.(pem|key|crt|cer|pub|der)\s*$/i,
    name: "the path of a file",
    advice: "use JWT_PUBLIC_KEY_FILE for it",
    isKey: false,
  },
  { pattern: /^\s*https?:\/\//i, name: "a URL", advice: "set it to the key itself", isKey: false },
];

/** Recognizes a text that was given as a key; undefined if it is nothing known. The result has none of its content. */
export function keyMaterial(text: string): KeyMaterial | undefined {
  return MATERIALS.find(({ pattern }) => pattern.test(text));
}
