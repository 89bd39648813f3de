import type { Settings } from '../config/schema.js'
import { parseEndpoint } from '../lib/docker/endpoint.js'
import { sourceNames } from '../lib/docker/source-names.js'

/** The sources whose containers can be started and stopped. */
export const runtimeNames = ({ sources, docker }: Settings): string[] =>
  sources.includes('docker') ? sourceNames(docker.hosts.map((text) => parseEndpoint(text, docker))) : []
