import { generateKeyPairSync, sign } from "node:crypto";

/** An ASN.1 value in DER encoding: tag, length, content. */
function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...contents: readonly Uint8Array[]): Uint8Array => der(0x30, ...contents);

/** OID 1.2.840.10045.4.3.2: ECDSA with SHA-256. */
const ecdsaWithSha256 = sequence(der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
/** OID 2.5.4.3: common name. */
const commonName = der(0x06, Buffer.from("550403", "hex"));

function utcTime(date: Date): Uint8Array {
  const digits = date.toISOString().replaceAll(/[-:T]/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

/** A key and a self-signed certificate for a host, in PEM. */
export function selfSigned(host = "127.0.0.1"): { readonly key: string; readonly cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const name = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(host)))));
  const day = 86_400_000;
  const valid = sequence(utcTime(new Date(Date.now() - day)), utcTime(new Date(Date.now() + day)));
  const body = sequence(
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    valid,
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = sign("sha256", body, privateKey);
  const certificate = Buffer.from(
    sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature)),
  ).toString("base64");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`,
  };
}
