import { describe, expect, test } from '@jest/globals'
import type { GroupSummary } from '../../src/reconcile/lifecycle-state.js'
import { lastWake, outlook } from '../../src/reconcile/lifecycle-words.js'

const NOW = 10_000_000
const MINUTE_MS = 60_000
const group = (more: Partial<GroupSummary>): GroupSummary => ({ name: 'shop', phase: 'awake', since: 0, ...more })

describe('what is said of a stack', () => {
  test.each<[string, Partial<GroupSummary>]>([
    ['asleep since 3m', { phase: 'asleep', since: NOW - 3 * MINUTE_MS }],
    ['starting for 2s', { phase: 'waking', since: NOW - 2000 }],
    ['is being put to sleep for 1s', { phase: 'falling-asleep', since: NOW - 1000 }],
    ['awake, idle 2m, sleeps in 13m', { idleSince: NOW - 2 * MINUTE_MS, sleepsAt: NOW + 13 * MINUTE_MS }],
    ['awake, idle 20m, sleeps now', { idleSince: NOW - 20 * MINUTE_MS, sleepsAt: NOW - 1 }],
    ['awake, in use', { idleSince: NOW }],
    [
      'awake, idle 1h, kept awake: another stack needs it (blog)',
      { idleSince: NOW - 60 * MINUTE_MS, keptBy: 'need', keptDetail: 'blog' },
    ],
    [
      'could not be started: web: its container ended with code 1; tried again from 4s on',
      { phase: 'failed', trouble: 'web: its container ended with code 1', retryAt: NOW + 4000 },
    ],
    [
      'asleep since 1m; web has ended within seconds, 4 times',
      { phase: 'asleep', since: NOW - MINUTE_MS, trouble: 'web has ended within seconds, 4 times' },
    ],
  ])('%s', (words, more) => expect(outlook(group(more), NOW)).toBe(words))

  test('the last wake is told with how long it took', () => {
    expect(lastWake(group({ lastWake: { at: NOW - 5 * MINUTE_MS, ms: 812 } }), NOW)).toBe('in 0.8 s, 5m ago')
    expect(lastWake(group({}), NOW)).toBe('')
  })
})
