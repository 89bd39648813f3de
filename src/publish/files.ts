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
  /** A folder beside them that is gone after the round, for what a check needs to write. */
  readonly scratch: string
}

export interface StagedFile extends RenderedFile {
  /** Where the new content lies now; equals `path` when the file on disk already says the same. */
  readonly stagedPath: string
  readonly changed: boolean
}
