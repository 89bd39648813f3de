import { RuntimeError, type WorkloadSpec } from '../runtime.js'
import { DEFAULT_NETWORK, isServiceName } from './look.js'

/** Of Docker's grammar as much as decides whether it could be one. */
const IMAGE = /^[a-z0-9][A-Za-z0-9._:/@-]{0,511}$/

/** Of Rancher's own labels those that tell how the container itself is run, and nothing more. */
const OWN_LABELS = ['io.rancher.container.pull_image', 'io.rancher.container.start_once']

/**
 * Rancher does much for a label of its own: one gives the container an API key for the whole environment
 * (`io.rancher.container.create_agent`), others choose its host or its sidekicks. Its database does not tell case apart.
 */
const isForRancher = (label: string): boolean => /^io\.rancher\./i.test(label) && !OWN_LABELS.includes(label)

/** `host` and `container:…` would publish nothing of their own. */
const NETWORKS = [DEFAULT_NETWORK, 'bridge']

/** What Rancher would refuse late or misread, and what it must not be told. @throws RuntimeError `refused`, `no-such-network` */
export function validate({ name, image, labels, env, networks }: WorkloadSpec): void {
  if (!isServiceName(name)) {
    const rule = 'use letters, digits and single -, 63 at most'
    throw new RuntimeError('refused', `${JSON.stringify(name.slice(0, 80))} is no name for a service; ${rule}`)
  }
  if (!IMAGE.test(image))
    throw new RuntimeError('refused', `${JSON.stringify(image.slice(0, 80))} is an invalid reference to an image`)
  const wrong = Object.keys(env).find((variable) => variable === '' || variable.includes('='))
  if (wrong !== undefined)
    throw new RuntimeError('refused', `${JSON.stringify(wrong)} is no name for an environment variable`)
  const forRancher = Object.keys(labels).find(isForRancher)
  if (forRancher !== undefined) {
    const rule = `of Rancher's own labels only ${OWN_LABELS.join(' and ')} may be deployed`
    throw new RuntimeError('refused', `the label ${JSON.stringify(forRancher.slice(0, 80))} is refused: ${rule}`)
  }
  const unknown = networks.find((network) => !NETWORKS.includes(network))
  if (unknown !== undefined) {
    const remedy = `services of Rancher join ${NETWORKS.map((network) => JSON.stringify(network)).join(' or ')}`
    throw new RuntimeError('no-such-network', `there is no network ${JSON.stringify(unknown.slice(0, 80))}; ${remedy}`)
  }
  if (networks.length > 1)
    throw new RuntimeError('refused', `a service of Rancher joins one network; name one of ${networks.join(', ')}`)
}
