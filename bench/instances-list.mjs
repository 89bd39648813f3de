// The list of instances that the file source of one agent reads.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { instancesFile } from './fleet.mjs'

/** @returns its path, and how to write it anew with more or fewer; replaced at once, as an operator's script does it */
export function createInstancesList(folder, count, nameOf) {
  const path = join(folder, 'stacks.yml')
  const write = (many) => {
    const named = (entry, index) => ({ ...entry, name: nameOf(index), stack: nameOf(index) })
    writeFileSync(`${path}.new`, instancesFile(many, named))
    renameSync(`${path}.new`, path)
  }
  write(count)
  return { path, write }
}
