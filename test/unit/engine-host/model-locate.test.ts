import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { locateModel, type LocateOptions } from "../../../src/engine-host/model-locate.ts";
import { silentProgress } from "../../support/silent-progress.ts";
import { runPython, type PythonRunner } from "../../../src/engine-host/model-wheel.ts";
import { smallGguf, splitGguf } from "../../support/small-gguf.ts";
import { hubEntry, modelBytes, temporaryFolder, wheelEntry } from "../../support/model-entry.ts";

const wantedBytes = modelBytes(5000, 1);
const standInBytes = modelBytes(3000, 2);
const wanted = hubEntry("wanted", wantedBytes);
const standIn = wheelEntry("little", standInBytes);

const noNetwork: typeof fetch = () =>
  Promise.reject(new TypeError("fetch failed", { cause: new Error("ENOTFOUND") }));
const noPython: PythonRunner = () => Promise.reject(new Error("python3 is not installed"));
const hub: typeof fetch = () => Promise.resolve(new Response(new Uint8Array(wantedBytes)));
const forbidden = () => {
  throw new Error("this test allows no network access");
};

async function setUp(more: Partial<LocateOptions> = {}): Promise<LocateOptions> {
  return {
    modelPath: undefined,
    localModel: "wanted",
    modelsDir: await temporaryFolder(),
    download: true,
    progress: silentProgress,
    signal: new AbortController().signal,
    catalog: [wanted, standIn],
    fetch: noNetwork,
    python: noPython,
    ...more,
  };
}

/** Replaces pip with a wheel created here. The real Python unpacks the wheel. */
function pipWith(content: Buffer, calls: string[][] = []): PythonRunner {
  return async (args, signal) => {
    calls.push([...args]);
    if (args[1] !== "pip") return runPython(args, signal);
    const folder = args[args.indexOf("--dest") + 1] ?? "";
    const source = join(await temporaryFolder(), "member");
    await writeFile(source, content);
    const zip =
      "import sys, zipfile\nzipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED).write(sys.argv[2], sys.argv[3])";
    const packed = join(dirname(source), "carrier-1.0-py3-none-any.whl");
    await runPython(["-c", zip, packed, source, standIn.source.member], signal);
    await copyFile(packed, join(folder, "carrier-1.0-py3-none-any.whl"));
  };
}

describe("locateModel", () => {
  it("prefers MODEL_PATH to all other sources", async () => {
    const own = join(await temporaryFolder(), "own.gguf");
    await writeFile(own, modelBytes());
    const options = await setUp({ modelPath: own, fetch: forbidden, python: forbidden });
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    expect(await locateModel(options)).toEqual({ path: own, entry: null, source: "MODEL_PATH", notes: [] });
  });

  it("recognizes a catalog model in MODEL_PATH by its file name", async () => {
    const own = join(await temporaryFolder(), standIn.file);
    await writeFile(own, standInBytes);
    expect(await locateModel(await setUp({ modelPath: own }))).toMatchObject({ entry: standIn });
  });

  it.each([
    ["a missing file", "none.gguf", null, "does not exist"],
    ["a file that is not a model", "text.gguf", "hello", "is not a GGUF file"],
    ["an empty file", "empty.gguf", "", "is not a GGUF file"],
  ])("tries no other source when MODEL_PATH names %s", async (_, name, content, fault) => {
    const modelPath = join(await temporaryFolder(), name);
    if (content !== null) await writeFile(modelPath, content);
    const found = await locateModel(await setUp({ modelPath, fetch: forbidden }));
    expect(found).toMatchObject({ path: null, reason: `MODEL_PATH=${modelPath} ${fault}.` });
  });

  it("reports that MODEL_PATH names a folder", async () => {
    const found = await locateModel(await setUp({ modelPath: await temporaryFolder() }));
    expect(found).toMatchObject({ path: null, reason: expect.stringContaining("is a folder, not a file") });
  });

  it("uses the wanted file in models/ without a note", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    await writeFile(join(options.modelsDir, "a-first.gguf"), modelBytes());
    const path = join(options.modelsDir, wanted.file);
    await writeFile(path, wantedBytes);
    expect(await locateModel(options)).toEqual({ path, entry: wanted, source: "models folder", notes: [] });
  });

  it("uses the first other .gguf by name, with a note on how to get the wanted model", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    for (const name of ["z.gguf", "b.gguf", "mmproj-a.gguf", "a.txt"]) {
      await writeFile(join(options.modelsDir, name), modelBytes());
    }
    const found = await locateModel(options);
    expect(found).toMatchObject({
      path: join(options.modelsDir, "b.gguf"),
      entry: null,
      source: "models folder",
    });
    expect(found).toMatchObject({
      notes: [
        expect.stringMatching(/so b\.gguf is used.*npm run model -- wanted/),
        "models/ also has mmproj-a.gguf, z.gguf. To use another file, set MODEL_PATH.",
      ],
    });
  });

  it("skips files of other kinds by their metadata and says what each of them is", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    const put = (name: string, bytes: Buffer) => writeFile(join(options.modelsDir, name), bytes);
    await put("a-vision.gguf", smallGguf({ "general.architecture": { string: "clip" } }));
    await put("b-lora.gguf", smallGguf({ "general.type": { string: "adapter" } }));
    await put("c-00002-of-00003.gguf", splitGguf(3)[1] as Buffer);
    await put("mmproj-but-a-model.gguf", modelBytes());
    await put("z-embedding.gguf", smallGguf({ "llama.pooling_type": { uint32: 1 } }));
    const found = await locateModel(options);
    expect(found).toMatchObject({ path: join(options.modelsDir, "mmproj-but-a-model.gguf") });
    expect("notes" in found && found.notes).toEqual([
      expect.stringContaining("so mmproj-but-a-model.gguf is used"),
      expect.stringMatching(/^models\/a-vision\.gguf is not used: it is a projector/),
      expect.stringMatching(/^models\/b-lora\.gguf is not used: it is an adapter/),
      expect.stringMatching(/^models\/c-00002-of-00003\.gguf is not used: it is part 2 of 3/),
      expect.stringMatching(/^models\/z-embedding\.gguf is not used: it is a model for embeddings/),
    ]);
  });

  it("uses a split model by its first part, without notes about the others", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    for (const [index, bytes] of splitGguf(2).entries()) {
      await writeFile(join(options.modelsDir, `m-0000${index + 1}-of-00002.gguf`), bytes);
    }
    const found = await locateModel(options);
    expect(found).toMatchObject({ path: join(options.modelsDir, "m-00001-of-00002.gguf") });
    expect("notes" in found && found.notes).toHaveLength(1);
  });

  it("finds files in subfolders after those of the folder itself, through links, and with capitals", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    const outside = await temporaryFolder();
    await writeFile(join(outside, "inside.GGUF"), modelBytes());
    await mkdir(join(options.modelsDir, "A", "b"), { recursive: true });
    await writeFile(join(options.modelsDir, "A", "b", "deep.gguf"), modelBytes());
    await symlink(outside, join(options.modelsDir, "Linked"));
    await symlink(join(outside, "inside.GGUF"), join(options.modelsDir, "top.Gguf"));
    expect(await locateModel(options)).toMatchObject({
      path: join(options.modelsDir, "top.Gguf"),
      notes: [expect.anything(), expect.stringContaining("also has A/b/deep.gguf, Linked/inside.GGUF.")],
    });
  });

  it("reports links that lead nowhere, also under the name of the wanted model, and prints no control character", async () => {
    const options = await setUp({ download: false });
    await symlink(wanted.file, join(options.modelsDir, wanted.file));
    await symlink("nothing", join(options.modelsDir, "b\u001b[31m\n.gguf"));
    expect(await locateModel(options)).toMatchObject({
      path: null,
      reason: expect.stringMatching(
        /^models\/wanted\.gguf is not used: it is a link in a circle\. models\/b\?\[31m\?\.gguf is not used: it does not exist\./,
      ),
    });
  });

  it("finds the wanted model among more files than are looked at", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    for (let index = 100; index < 170; index++) {
      await writeFile(join(options.modelsDir, `${index}.gguf`), modelBytes());
    }
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    expect(await locateModel(options)).toMatchObject({ entry: wanted });
  });

  it("prints no control character of a name inside a part of a split model", async () => {
    const options = await setUp({ download: false });
    const name = "m\u001b[31m-00001-of-00002.gguf";
    await writeFile(join(options.modelsDir, name), splitGguf(2)[0] as Buffer);
    const found = await locateModel(options);
    expect("reason" in found && found.reason).toMatch(
      /part 2 \(m\?\[31m-00002-of-00002\.gguf\) does not exist/,
    );
  });

  it("finds the wanted model in a subfolder", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    await writeFile(join(options.modelsDir, "a.gguf"), modelBytes());
    await mkdir(join(options.modelsDir, "sub"));
    await writeFile(join(options.modelsDir, "sub", wanted.file), wantedBytes);
    const path = join(options.modelsDir, "sub", wanted.file);
    expect(await locateModel(options)).toEqual({ path, entry: wanted, source: "models folder", notes: [] });
  });

  it("tries the next file when one cannot be loaded", async () => {
    const loads: string[] = [];
    const load = async ({ path }: { path: string }) => {
      loads.push(basename(path));
      return basename(path) === "b.gguf" ? null : "cannot be loaded: it is broken.";
    };
    const options = await setUp({ fetch: forbidden, python: forbidden, load });
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    for (const name of ["a.gguf", "b.gguf", "c.gguf"]) {
      await writeFile(join(options.modelsDir, name), modelBytes());
    }
    expect(await locateModel(options)).toMatchObject({
      path: join(options.modelsDir, "b.gguf"),
      notes: [
        expect.anything(),
        "models/wanted.gguf cannot be loaded: it is broken.",
        "models/a.gguf cannot be loaded: it is broken.",
        expect.stringContaining("also has c.gguf"),
      ],
    });
    expect(loads).toEqual([wanted.file, "a.gguf", "b.gguf"]);
  });

  it("fetches no second copy of a model that cannot be loaded, but the stand-in", async () => {
    const load = async ({ path }: { path: string }) =>
      basename(path) === wanted.file ? "cannot be loaded: no memory." : null;
    const options = await setUp({ fetch: forbidden, python: pipWith(standInBytes), load });
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    expect(await locateModel(options)).toMatchObject({
      entry: standIn,
      notes: ["models/wanted.gguf cannot be loaded: no memory.", expect.stringContaining("stand-in")],
    });
  });

  it("tries no other file after MODEL_PATH cannot be loaded", async () => {
    const modelPath = join(await temporaryFolder(), "own.gguf");
    await writeFile(modelPath, modelBytes());
    const options = await setUp({ modelPath, load: async () => "cannot be loaded: no memory." });
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    expect(await locateModel(options)).toMatchObject({
      path: null,
      reason: `MODEL_PATH=${modelPath} cannot be loaded: no memory.`,
    });
  });

  it("passes on a failure that is not due to the file", async () => {
    const load = () => Promise.reject(new Error("no GPU"));
    const options = await setUp({ load });
    await writeFile(join(options.modelsDir, wanted.file), wantedBytes);
    await expect(locateModel(options)).rejects.toThrow("no GPU");
  });

  it("tries a bounded number of files", async () => {
    let loads = 0;
    const options = await setUp({ download: false, load: async () => `cannot be loaded: ${++loads}.` });
    for (let index = 10; index < 30; index++) {
      await writeFile(join(options.modelsDir, `${index}.gguf`), modelBytes());
    }
    expect(await locateModel(options)).toMatchObject({
      path: null,
      reason: expect.stringContaining("16 files in models/ could not be loaded"),
    });
    expect(loads).toBe(16);
  });

  it("uses an existing stand-in without network access", async () => {
    const options = await setUp({ fetch: forbidden, python: forbidden });
    await writeFile(join(options.modelsDir, standIn.file), standInBytes);
    expect(await locateModel(options)).toMatchObject({ entry: standIn, source: "models folder" });
  });

  it("refuses a catalog file of a different length and fetches it again", async () => {
    const options = await setUp({ fetch: hub });
    const path = join(options.modelsDir, wanted.file);
    await writeFile(path, wantedBytes.subarray(0, 100));
    expect(await locateModel(options)).toMatchObject({
      path,
      source: "downloaded from the Hugging Face hub",
      notes: ["models/wanted.gguf is not used: it has 100 bytes instead of 5000."],
    });
    expect((await readFile(path)).equals(wantedBytes)).toBe(true);
  });

  it("fetches the wanted model into a folder that does not exist yet", async () => {
    const options = await setUp({ fetch: hub });
    const modelsDir = join(options.modelsDir, "new", "models");
    expect(await locateModel({ ...options, modelsDir })).toMatchObject({
      path: join(modelsDir, wanted.file),
      entry: wanted,
      notes: [],
    });
  });

  it("falls back to the stand-in, with a note on the reason and how to get the wanted model", async () => {
    const calls: string[][] = [];
    const options = await setUp({ python: pipWith(standInBytes, calls) });
    const found = await locateModel(options);
    const path = join(options.modelsDir, standIn.file);
    expect(found).toMatchObject({ path, entry: standIn });
    expect(found).toMatchObject({ source: "downloaded from the Python package carrier 1.0, stand-in" });
    expect(found).toMatchObject({
      notes: [
        expect.stringMatching(/cannot be reached: ENOTFOUND/),
        expect.stringMatching(/stand-in.*npm run model -- wanted/),
      ],
    });
    expect((await readFile(path)).equals(standInBytes)).toBe(true);
    expect(await readdir(options.modelsDir)).toEqual([standIn.file]);
    expect(calls[0]).toContain("--only-binary=:all:");
    expect(calls[0]).toContain("carrier==1.0");
  });

  it("deletes a stand-in with a wrong hash", async () => {
    const options = await setUp({ python: pipWith(modelBytes(3000, 9)) });
    const found = await locateModel(options);
    expect(found).toMatchObject({ path: null, reason: expect.stringContaining("wrong hash") });
    expect(await readdir(options.modelsDir)).toEqual([]);
  });

  it("reports every reason and what to do when no model is available", async () => {
    const found = await locateModel(await setUp());
    expect(found).toMatchObject({
      path: null,
      reason: expect.stringMatching(
        /Model wanted could not be fetched:.*Model little could not be fetched: python3/,
      ),
      remedy: expect.stringContaining("npm run model"),
    });
  });

  it("fetches nothing when downloads are off", async () => {
    const found = await locateModel(await setUp({ download: false, fetch: forbidden, python: forbidden }));
    expect(found).toMatchObject({ path: null, reason: expect.stringContaining("MODEL_DOWNLOAD is off") });
  });

  it("lists the catalog's names when LOCAL_MODEL is not in it", async () => {
    const found = await locateModel(await setUp({ localModel: "wnated", fetch: forbidden }));
    expect(found).toMatchObject({
      path: null,
      reason: expect.stringContaining("which lists: wanted, little"),
    });
  });

  it("reports a models folder that cannot be created", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    const found = await locateModel(await setUp({ modelsDir: join(file, "models") }));
    expect(found).toMatchObject({ path: null, reason: expect.stringContaining("models folder") });
  });

  it("rejects with the signal's reason when aborted during a fetch", async () => {
    const stop = new AbortController();
    const options = await setUp({
      signal: stop.signal,
      fetch: () => {
        stop.abort(new Error("interrupted"));
        return Promise.reject(new Error("aborted"));
      },
      python: forbidden,
    });
    await expect(locateModel(options)).rejects.toThrow("interrupted");
  });

  it("stops a running pip when aborted", async () => {
    const stop = new AbortController();
    const sleep: PythonRunner = (_, signal) => runPython(["-c", "import time; time.sleep(30)"], signal);
    const options = await setUp({ signal: stop.signal, python: sleep });
    setTimeout(() => stop.abort(new Error("interrupted")), 100);
    await expect(locateModel(options)).rejects.toThrow("interrupted");
    expect(await readdir(options.modelsDir)).toEqual([]);
  });
});

describe("runPython", () => {
  it("hides passwords in URLs of its errors", async () => {
    const signal = new AbortController().signal;
    const fail = "raise SystemExit('Failed to parse: http://user:p@ss@proxy.example:3128 (ERROR)')";
    await expect(runPython(["-c", fail], signal)).rejects.toThrow(
      "python3 failed: Failed to parse: http://(hidden)@proxy.example:3128 (ERROR)",
    );
  });

  it("reports in one line why a command failed", async () => {
    const signal = new AbortController().signal;
    await expect(runPython(["-c", "raise SystemExit('no such thing')"], signal)).rejects.toThrow(
      "python3 failed: no such thing",
    );
  });
});
