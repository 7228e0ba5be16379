/** An allocation that is asked for again at once under the id of one that was released, or denied. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { createResources, type ResourcesFeature } from '../../../protocols/resource/resources.ts'
import { createJournalMesh } from '../../support/journal-mesh.ts'
import { failureOf } from '../../support/until.ts'

const NAMES = ['m0', 'm1', 'm2']
const TIMES = 8
const NODE_MS = 60_000

const mesh = createJournalMesh({ seed: 3 })
const nodes: ResourcesFeature[] = []
for (const name of NAMES) {
  const parts = [{ ...resourceJournal, name: RESOURCES_PART }]
  const node = await mesh.start(name, { expect: NAMES.length, parts })
  const { port, journal, coordinator, events, seat: member } = node
  const resources = createResources({ port, journal, coordinator, events, member })
  await port.serve(resourceProtocol, resources.handlers)
  nodes.push(resources)
  after(() => mesh.kill(node))
}
const offers = nodes.map((resources) => resources.offer({ gpu: 1 }))
await mesh.time.settled(Promise.all(offers), NODE_MS)

/** Each node does that so many times, one after the other; all nodes at once. */
const onAll = async (run: (resources: ResourcesFeature, id: string) => Promise<void>): Promise<void> => {
  const turns = nodes.map(async (resources, i) => {
    for (let k = 0; k < TIMES; k += 1) await run(resources, `x${i}`)
  })
  await mesh.time.settled(Promise.all(turns), NODE_MS)
}

test('what was released is had again under its id', () =>
  onAll(async (resources, id) => {
    const held = await resources.allocate({ id, units: { gpu: 1 } })
    assert.ok(!held.signal.aborted)
    await held.release()
    assert.ok(held.signal.aborted)
  }))

test('who releases twice does not release what has the id by then', () =>
  onAll(async (resources, id) => {
    const held = await resources.allocate({ id, units: { gpu: 1 } })
    await held.release()
    const next = await resources.allocate({ id, units: { gpu: 1 } })
    await held.release()
    assert.equal(next.signal.aborted, false)
    await next.release()
    assert.equal(next.signal.aborted, true)
  }))

test('what is being released is had again under its id, and is not what was had before', () =>
  onAll(async (resources, id) => {
    const held = await resources.allocate({ id, units: { gpu: 1 } })
    const released = held.release()
    const next = await resources.allocate({ id, units: { gpu: 1 } })
    assert.deepEqual([held.signal.aborted, next.signal.aborted], [true, false])
    await released
    await next.release()
  }))

test('what was denied is denied again under its id, in the words of a denial, also to a message', () =>
  onAll(async (resources, id) => {
    const denied = await failureOf(resources.allocate({ id, units: { gpu: 2 }, timeoutMs: 0 }))
    assert.match(String(denied), /denied: no-such-capacity/)
    const wanted = { request_id: id, task_id: 't', requirements: { gpu_units: 2 }, allocation_timeout: 0 }
    assert.equal((await resources.receive('resource.allocate', wanted)).type, 'resource.denied')
  }))
