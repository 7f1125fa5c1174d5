/** A file system that small files are read from. What it says is not believed without bounds; what makes no sense is as if it were not there. */
export interface FileVolume {
  /** The first `most` bytes of the file at `path` ('/' between names); undefined when there is none. */
  readFile(path: string, most: number): Promise<Uint8Array | undefined>;
  /** Names in the directory at `path`, '' for the root; empty when there is none. */
  list(path: string): Promise<string[]>;
}
