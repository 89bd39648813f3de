/** A file that a proxy wants on disk. */
export interface RenderedFile {
  /** Absolute. */
  readonly path: string
  readonly content: string
  /** Permission bits for a file that does not exist yet (an existing one keeps its own). Default 0o644. */
  readonly mode?: number
}

/** The staged set of one round: everything that was rendered, and where the copy to be checked lies. */
export interface StagedFiles {
  readonly files: readonly StagedFile[]
  /** A folder beside them for what a check needs to write; emptied after the round. */
  readonly scratch: string
}

export interface StagedFile extends RenderedFile {
  /** Where the new content lies now; equals `path` when the file on disk already says the same. */
  readonly stagedPath: string
  readonly changed: boolean
}

/**
 * Puts whole sets of files in place: all of a set or none of it. One round at a time; every failure is a HostlerError
 * (code `PUBLISH`, or `PUBLISH_LOCKED` when another Hostler holds the folder) that leaves the old set, and the same
 * call may be tried again later.
 */
export interface Publisher {
  /**
   * Finishes what a killed predecessor had begun to put in place (it had been checked) and deletes what it had only
   * staged. `mended`: the files that this changed. Done once; `stage` does it first when nobody has.
   */
  recover(): Promise<{ readonly mended: readonly string[] }>
  /**
   * Compares with what is on disk, whoever wrote it, and writes every file that differs beside its target. `files` is
   * the whole set: a file that an earlier set had and this one has not is removed by the commit. Undoes a stage that
   * was neither committed nor discarded.
   */
  stage(files: readonly RenderedFile[]): Promise<Stage>
  /** Absolute paths of what `stage` and a commit would write or remove. Writes nothing. */
  differing(files: readonly RenderedFile[]): Promise<readonly string[]>
  /** Lets go of the folder. */
  close(): Promise<void>
}

export interface Stage extends StagedFiles {
  /** Something on disk differs from this set, or has to go. */
  readonly changed: boolean
  commit(): Promise<Published>
  discard(): Promise<void>
}

export interface Published {
  /** Absolute paths that were written or removed. */
  readonly changed: readonly string[]
  /** Puts the previous set back in the same way, for a proxy that refused the new one after all. */
  rollback(): Promise<void>
}
