/** Ends planning: only a reload gives what the files say. The message is the reason, for people. */
export class NeedsReload extends Error {
  override readonly name = 'NeedsReload'
}
