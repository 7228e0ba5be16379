/** The metrics of a node that has everything switched on, as it exposes them. Starts one, and stops it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMesh, makeSecret } from '../../node/index.ts'
import { Exposition } from '../../node/observe/metrics/exposition.ts'
import type { MetricFacts } from './tables.ts'

/** The text tells the labels of a metric only where it has a sample. */
const exposed = (seen: Map<string, readonly string[]>): (() => void) => {
  const { expose } = Exposition.prototype
  Exposition.prototype.expose = function record(shape, ...more) {
    seen.set(shape.name, shape.labelNames)
    expose.call(this, shape, ...more)
  }
  return () => {
    Exposition.prototype.expose = expose
  }
}

export const metricsOfNode = async (): Promise<MetricFacts[]> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-docs-'))
  const labels = new Map<string, readonly string[]>()
  const forget = exposed(labels)
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
