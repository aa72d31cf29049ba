import fc from "fast-check";

// By default fast-check generates short arrays and texts even if a longer maximum is given.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

export default fc;
