import { describe, expect, test } from '@jest/globals'
import { createMetrics, type Metrics } from '../../src/http/metrics.js'
import type { State } from '../../src/reconcile/state.js'
import { readyState, troubledState } from '../support/states.js'

/** The samples of our own metrics, without buckets. */
const samples = async (metrics: Metrics, state: State): Promise<string[]> =>
  (await metrics.render(state)).split('\n').filter((line) => /^hostler_/.test(line) && !line.includes('_bucket{'))

describe('metrics', () => {
  test('say of a state what it holds', async () => {
    expect(await samples(createMetrics(), troubledState())).toEqual(
      expect.arrayContaining([
        'hostler_build_info{version="0.1.0"} 1',
        'hostler_ready 0',
        'hostler_instances{source="docker"} 3',
        'hostler_instances{source="rancher-metadata"} 12',
        'hostler_source_up{source="docker"} 1',
        'hostler_source_up{source="rancher-metadata"} 0',
        'hostler_source_up{source="file"} 0',
        'hostler_routes 5',
        'hostler_backends 3',
        'hostler_servers 3',
        'hostler_waiting 2',
        'hostler_rejections 2',
        'hostler_proxy_in_step{proxy="haproxy"} 0',
        'hostler_refused_backends{proxy="haproxy"} 1',
        'hostler_applies_total{proxy="haproxy",how="start"} 1',
        'hostler_applies_total{proxy="haproxy",how="reload"} 4',
        'hostler_applies_total{proxy="haproxy",how="nothing"} 20',
        'hostler_apply_failures_total{proxy="haproxy"} 2',
      ]),
    )
  })

  test('follow the state: what is gone is gone, and counters do not add up twice', async () => {
    const metrics = createMetrics()
    await metrics.render(troubledState())
    const now = await samples(metrics, readyState())
    expect(now).toContain('hostler_ready 1')
    expect(now).toContain('hostler_proxy_in_step{proxy="haproxy"} 1')
    expect(now).toContain('hostler_applies_total{proxy="haproxy",how="reload"} 4')
    expect(now).toContain('hostler_apply_failures_total{proxy="haproxy"} 0')
    expect(now.filter((line) => line.includes('rancher-metadata'))).toEqual([])
  })

  test('hold durations in seconds as they were recorded', async () => {
    const metrics = createMetrics()
    metrics.applied('haproxy', 'reload', 34)
    metrics.applied('haproxy', 'reload', 66)
    metrics.round(12)
    const text = await metrics.render(readyState())
    expect(text).toContain('hostler_apply_seconds_count{proxy="haproxy",how="reload"} 2')
    expect(text).toContain('hostler_apply_seconds_sum{proxy="haproxy",how="reload"} 0.1')
    expect(text).toContain('hostler_apply_seconds_bucket{le="0.05",proxy="haproxy",how="reload"} 1')
    expect(text).toContain('hostler_round_seconds_sum 0.012')
  })

  test('of two processes in one do not mix, and each tells of its process', async () => {
    const [first, second] = [createMetrics(), createMetrics()]
    first.round(5)
    expect(await first.render(readyState())).toContain('hostler_round_seconds_count 1')
    expect(await second.render(readyState())).toContain('hostler_round_seconds_count 0')
    expect(await second.render(readyState())).toContain('process_resident_memory_bytes')
    expect(second.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  })
})
