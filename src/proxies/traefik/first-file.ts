import { rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { unless } from '../../publish/failure.js'
import { STAGE_FOLDER } from '../../publish/stager.js'
import { makeFolder, writeSynced } from '../../publish/write.js'

/**
 * Puts a file without routes in place unless there is one: Traefik gives up a file or folder that is missing when it
 * starts, and the first plan may be late.
 */
export async function writeFirstFile(path: string, content: () => string): Promise<void> {
  if (await unless(['ENOENT'], () => stat(path))) return
  const staged = join(dirname(path), STAGE_FOLDER, `${basename(path)}.first.new`)
  await makeFolder(dirname(staged))
  await writeSynced(staged, content(), { mode: 0o644 })
  await rename(staged, path)
}
