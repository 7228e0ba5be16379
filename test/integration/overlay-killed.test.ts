/** A process that is killed in a mesh where some are not connected to it. */
import assert from 'node:assert/strict'
import { after, it } from 'node:test'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { endProcesses, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const NODES = 12
/** Of them so many are not connected to the victim: those that have to be told, or to look. */
const FAR = 3
const common = {
  mesh: 'killed',
  timings: { syncPeriodMs: 500, backoffMinMs: 100, backoffMaxMs: 1_000 },
  limits: { maxPeersFullMesh: 3 },
}

after(async () => {
  await stopMeshes()
  endProcesses()
})

it('a killed process is soon forgotten by those that were not connected to it, too', { timeout: 60_000 }, async () => {
  const first = await startMesh({ ...common, name: 'node-0' })
  const join = first.mesh.self.addresses
  const others = Array.from({ length: NODES - 1 }, (_, n) => startMesh({ ...common, name: `node-${n + 1}`, join }))
  const nodes: OwnMesh[] = [first, ...(await Promise.all(others))]
  const victim = await startPeer({ ...common, name: 'victim', join })
  const knows = ({ mesh }: OwnMesh): boolean => mesh.directory.get(victim.id) !== undefined
  const isNear = ({ mesh }: OwnMesh): boolean => mesh.members().some(({ id }) => id === victim.id)
  await until('all know it', () => nodes.every(knows), 20_000)
  await until('some are not connected to it', () => nodes.filter(isNear).length <= NODES - FAR, 20_000)
  const near = nodes.filter(isNear).length
  assert.ok(near >= 1, 'somebody is')
  await victim.kill()
  // The ttl of a record is 30 s: this is word of mouth, and a look of one's own.
  await until('all have forgotten it', () => !nodes.some(knows), 15_000)
})
