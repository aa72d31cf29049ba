import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findModelFiles } from "../../../src/engine-host/model-search.ts";
import { temporaryFolder } from "../../support/model-entry.ts";

async function folderWith(...files: string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const file of files) {
    await mkdir(join(folder, file, ".."), { recursive: true });
    await writeFile(join(folder, file), "");
  }
  return folder;
}

describe("findModelFiles", () => {
  it("lists the folder's own files before those of subfolders, and nothing else", async () => {
    const folder = await folderWith(
      "z.gguf",
      "B.GGUF",
      "sub/a.gguf",
      "a/b/c/d/deep.gguf",
      "note.txt",
      "x.gguf.part",
    );
    expect(await findModelFiles(folder)).toEqual({
      files: ["B.GGUF", "z.gguf", "a/b/c/d/deep.gguf", "sub/a.gguf"],
      notes: [],
    });
  });

  it("leaves out hidden folders and those that are too deep", async () => {
    const folder = await folderWith(".cache/a.gguf", "1/2/3/4/5/a.gguf", "1/2/3/4/b.gguf");
    expect((await findModelFiles(folder)).files).toEqual(["1/2/3/4/b.gguf"]);
  });

  it("ends with links in a circle, and lists a broken link", async () => {
    const folder = await folderWith("sub/a.gguf");
    await symlink("..", join(folder, "sub", "up"));
    await symlink("nothing", join(folder, "broken.gguf"));
    await symlink("loop.gguf", join(folder, "loop.gguf"));
    expect((await findModelFiles(folder)).files).toEqual(["broken.gguf", "loop.gguf", "sub/a.gguf"]);
  });

  it("does not take a folder for a file", async () => {
    const folder = await folderWith("model.gguf/a.gguf");
    expect((await findModelFiles(folder)).files).toEqual(["model.gguf/a.gguf"]);
  });

  it("never leaves out files with the preferred name", async () => {
    const others = Array.from({ length: 70 }, (_, index) => `${100 + index}.gguf`);
    const { files } = await findModelFiles(await folderWith(...others, "sub/z.gguf"), "z.gguf");
    expect(files).toHaveLength(64);
    expect(files.slice(0, 2)).toEqual(["sub/z.gguf", "100.gguf"]);
  });

  it("lists a bounded number of files, with a note", async () => {
    const folder = await folderWith(...Array.from({ length: 70 }, (_, index) => `${100 + index}.gguf`));
    const { files, notes } = await findModelFiles(folder);
    expect(files).toHaveLength(64);
    expect(files[0]).toBe("100.gguf");
    expect(notes).toEqual(["Only the first 64 of 70 .gguf files in models/ were looked at."]);
  });
});
