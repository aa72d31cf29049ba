import fc from "fast-check";

/**
 * The same inputs in each run, so that a test fails because of a change and not by chance. `PROPERTY_SEED=random` (or a
 * number) tries other inputs; fast-check prints the seed of a failure.
 */
const FIXED_SEED = 20_261_130;

function seedOf(setting: string | undefined): number | undefined {
  if (setting === undefined || setting === "") return FIXED_SEED;
  if (setting === "random") return undefined;
  const seed = Number(setting);
  if (!Number.isInteger(seed))
    throw new Error(`PROPERTY_SEED is "${setting}"; expected "random" or a whole number`);
  return seed;
}

const seed = seedOf(process.env["PROPERTY_SEED"]);

// By default fast-check generates short arrays and texts even if a longer maximum is given.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true, ...(seed !== undefined && { seed }) });

export default fc;
