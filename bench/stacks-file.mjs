// Stacks in a file, all of them served by one responder, and changes of them: another stack comes, is scaled, and goes.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { instancesFile } from './fleet.mjs'

/** @param {number} present how many stacks are there all the time; `app-r0` is scaled up and down among them */
export function createStacksFile(folder, { present, port }) {
  const path = join(folder, 'stacks.yml')
  const entry = (stack, number) => ({
    ...{ name: `${stack}-web-${number}`, stack, service: 'web', address: `127.0.0.${number}` },
    labels: { 'hostler.port': String(port) },
  })
  const always = instancesFile(present, ({ stack }) => entry(stack, 1))
  let [made, scaled, extra] = [0, false, []]
  const write = () => {
    const more = [...extra, ...(scaled ? [entry('app-r0', 2)] : [])]
    writeFileSync(`${path}.new`, `${always}${more.map((one) => `  - ${JSON.stringify(one)}\n`).join('')}`)
    renameSync(`${path}.new`, path)
  }
  const kinds = [
    () => {
      extra = [entry(`new-${made++}`, 1)]
    },
    () => {
      scaled = !scaled
    },
    () => {
      extra = []
    },
  ]
  write()
  let changes = 0
  return {
    path,
    /** By turns a deployment, a scaling of `app-r0`, and the removal of what was deployed. */
    change() {
      kinds[changes++ % kinds.length]()
      write()
    },
  }
}
