/** A file that disk formats read and write at byte offsets; core/platform implements it over the host's files. */
export interface RandomAccessFile {
  readonly path: string;
  readonly readOnly: boolean;
  /** A block device of the host: as large as it is, and never deleted. */
  readonly device?: boolean | undefined;
  /** Number of the open file in this process, when others may read and write it by that. */
  readonly descriptor?: number | undefined;
  /** Bytes now. */
  size(): Promise<number>;
  /** Reads up to `target.length` bytes; fewer only at the end of the file. Returns how many. */
  read(offset: number, target: Uint8Array): Promise<number>;
  /** Writes all of `source` or rejects with HypervueError 'no-space', 'io-error' or 'permission-denied'. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** Data and metadata on stable storage. */
  sync(): Promise<void>;
  /** Makes the file this long; what is added reads as zeros. */
  truncate(bytes: number): Promise<void>;
  /** The range is not needed any more and may read as zeros from now on, or as before. Never rejects. */
  discard?(offset: number, length: number): Promise<void>;
  /**
   * Bytes from `offset` on, at most up to `end`, that are alike: a hole, which reads as zeros, or not. Absent where the system can't tell; undefined when
   * this file system can't.
   */
  holeAt?(offset: number, end: number): { hole: boolean; length: number } | undefined;
  /** Makes a hole: the range reads as zeros from now on. False, and nothing has changed, where that can't be done. Never rejects. */
  punch?(offset: number, length: number): Promise<boolean>;
  /** Puts room aside for the range, which keeps its bytes. Rejects with 'no-space'. Absent or without effect where the system can't. */
  allocate?(offset: number, length: number): Promise<void>;
  close(): Promise<void>;
}
