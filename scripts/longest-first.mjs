// A sequencer for jest: suites that take longest begin first, so that at the end none of them runs alone. Without it a machine that
// has not run them before begins with the largest files.
import Sequencer from '@jest/test-sequencer'

const LONGEST = [
  'integration/image',
  'integration/many-hosts',
  'registries/etcd/rules',
  'sources/consul',
  'integration/commands',
  'runtimes/docker',
  'integration/demo',
  'integration/direct',
  'proxies/haproxy/runtime/races',
]

const rankOf = ({ path }) => {
  const rank = LONGEST.findIndex((name) => path.endsWith(`/test/${name}.test.ts`))
  return rank < 0 ? LONGEST.length : rank
}

export default class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}
