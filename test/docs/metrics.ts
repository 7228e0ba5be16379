/** The metrics of a node that has everything switched on, as its registry knows them. Starts one, and stops it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { createMesh, makeSecret } from '../../node/index.ts'
import type { MetricFacts } from './tables.ts'

/** prom-client tells the labels of a metric only where one is registered. */
const registered = (seen: Map<string, readonly string[]>): (() => void) => {
  const { registerMetric } = Registry.prototype
  Registry.prototype.registerMetric = function record(metric) {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: readonly string[] }
    seen.set(name, labelNames)
    return registerMetric.call(this, metric)
  }
  return () => {
    Registry.prototype.registerMetric = registerMetric
  }
}

export const metricsOfNode = async (): Promise<MetricFacts[]> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-docs-'))
  const labels = new Map<string, readonly string[]>()
  const forget = registered(labels)
  try {
    const mesh = await createMesh({
      name: 'shown',
      dataDir,
      secret: makeSecret(),
      log: 'silent',
      control: true,
      debug: 0,
      health: 0,
      metrics: { pairs: true },
      discovery: { relay: { serve: true } },
    })
    const text = await (await fetch(`${mesh.healthUrl}/metrics`)).text()
    await mesh.stop()
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
    return [...text.matchAll(/^# HELP (\S+) (.+)$/gm)].map(([, name = '', help = '']) => ({
      name,
      help,
      type: types.get(name) ?? '',
      labels: labels.get(name) ?? [],
    }))
  } finally {
    forget()
    await rm(dataDir, { recursive: true, force: true })
  }
}
