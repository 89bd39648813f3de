import { Writable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createConflicts } from '../../../src/registries/etcd/conflicts.js'
import { createKeys } from '../../../src/registries/etcd/keys.js'
import { createView } from '../../../src/registries/etcd/view.js'

const NODE = '/app/password'
const [OURS, THEIRS] = ['hunter2-of-ours', 'hunter2-of-theirs']

/** What is claimed by us, and by another process as well. */
function conflict() {
  const keys = createKeys('/hostler')
  const view = createView(keys)
  const entry = { modRevision: 2n, createRevision: 2n, lease: '0' }
  view.replace({
    entries: [
      { ...entry, key: keys.claim(NODE, 'us'), value: OURS },
      { ...entry, key: keys.claim(NODE, 'them'), value: THEIRS },
    ],
    ...{ revision: '2', cluster: '1' },
  })
  let logged = ''
  const log = pino(
    { level: 'trace' },
    new Writable({
      write(chunk, _, done) {
        logged += chunk
        done()
      },
    }),
  )
  const conflicts = createConflicts({ view, keys, log })
  const isNews = conflicts.look([NODE], new Map([[NODE, { value: OURS }]]), 'us')
  return { isNews, troubles: conflicts.troubles(), logged }
}

describe('a conflict with another process', () => {
  test('is told by the length of our value and the beginning of its hash, with where to look', () => {
    expect(conflict()).toMatchObject({
      isNews: true,
      troubles: [
        expect.stringMatching(/^\/app\/password: others .*\(15 bytes, SHA-256 [0-9a-f]{4}…\).*etcdctl get --prefix \//),
      ],
    })
  })

  test('shows no value, neither as a trouble nor in the log: it may be a secret', () => {
    const { troubles, logged } = conflict()
    expect(logged).toContain('a conflict')
    expect(`${troubles} ${logged}`).not.toContain('hunter2')
  })
})
