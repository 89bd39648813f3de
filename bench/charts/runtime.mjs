// The chart of the group `runtime`: changes step by step, against a reload for each, against predecessor 1's way.
import { drawChart } from '../chart.mjs'

export function draw(entries, { cores, cpu, node, haproxy }) {
  const rows = entries.flatMap((entry) => entry.rows)
  const of = (id) => rows.find((row) => row.id === id)
  const version = /\d+\.\d+\.\d+/.exec(haproxy ?? '')?.[0]
  return drawChart({
    title: 'Changes of the running HAProxy through its runtime API, against reloads and against polling',
    panels: [timesPanel(of), memoryPanel(of), clientsPanel(of), hostnamesPanel(of)],
    foot: `${cores} × ${cpu}, HAProxy ${version}, Node ${node.slice(1)}`,
  })
}

function timesPanel(of) {
  const bar = (id, label, ours = false) => {
    const { p50, p95 } = of(id).figures
    return { label, value: p50, to: p95, text: `${time(p50)}, p95 ${time(p95)}`, ours }
  }
  return {
    title: 'How soon a new stack answers',
    about: 'From the moment its container listens to the first 200 through HAProxy: median, and a line to p95',
    bars: [
      bar('new-stack-100', 'Hostler, 100 stacks', true),
      bar('new-stack-100-reloads', '100 stacks, a reload for each'),
      bar('new-stack-5000', 'Hostler, 5,000 stacks', true),
      bar('new-stack-5000-reloads', '5,000 stacks, a reload for each'),
      bar('new-stack-predecessor', '100 stacks, polled every 10 s'),
    ],
    logarithmic: {
      from: 10,
      ticks: [10, 100, 1000, 10_000].map((at) => ({ at, label: time(at) })),
    },
  }
}

function memoryPanel(of) {
  const { ours, baseline } = of('held-connections')
  const told = ({ proportional, workers }) =>
    `${proportional.toFixed(0)} MB, ${workers} worker${workers > 1 ? 's' : ''}`
  return {
    title: "HAProxy's memory while connections are held",
    about:
      'All its processes after 50 changes among 1,000 stacks, during which 20 WebSockets were opened and stay open',
    bars: [
      { label: 'Hostler', value: ours.proportional, text: told(ours), ours: true },
      { label: 'a reload for each change', value: baseline.proportional, text: told(baseline) },
    ],
  }
}

function clientsPanel(of) {
  const { figures, baseline } = of('churn-p99')
  return {
    title: 'What clients notice',
    about: 'p99 of 16 clients while stacks come, scale and go five times a second, against no changes',
    bars: [
      { label: 'Hostler', value: figures.ratio, text: `${figures.ratio.toFixed(2)} ×`, ours: true },
      { label: 'a reload for each change', value: baseline.ratio, text: `${baseline.ratio.toFixed(2)} ×` },
    ],
  }
}

function hostnamesPanel(of) {
  const { ours, baseline } = of('hostnames')
  const told = (perSecond) => `${Math.round(perSecond / 1000)},000 /s`
  return {
    title: 'Finding one of 5,000 hostnames',
    about: 'Requests a second that HAProxy answers by itself, by our look-up and by map_dom',
    bars: [
      { label: 'Hostler', value: ours.perSecond, text: told(ours.perSecond), ours: true },
      { label: 'map_dom', value: baseline.perSecond, text: told(baseline.perSecond) },
    ],
  }
}

const time = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toPrecision(2))} s`)
