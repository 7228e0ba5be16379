/** Resources between processes over loopback TCP: given whole, never more than there is, and given back by whoever dies. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, type Mesh, makeSecret, resourceRequestEvent, resourceStatusEvent } from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

describe('resources, between processes', { timeout: 180_000 }, () => {
  const secret = makeSecret()
  const peers: Peer[] = []
  let folder = ''
  let ann: Mesh

  const start = (name: string): Promise<Peer> =>
    startPeer(
      {
        ...{ name, secret, dataDir: join(folder, name), coordination: { expect: 3 } },
        join: peers.flatMap(({ addresses }) => addresses),
      },
      { serve: false },
    )
  const one = (i: number): Peer => {
    const peer = peers[i]
    assert.ok(peer)
    return peer
  }
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-resources-'))
    for (const name of ['one', 'two', 'three']) peers.push(await start(name))
    ann = await createMesh({ name: 'ann', secret, join: peers.flatMap(({ addresses }) => addresses), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    await one(0).ask('offerResources', { cpu: 4_000, 'robot-arm': 1 })
    await one(1).ask('offerResources', { cpu: 2_000 })
  })
  after(async () => {
    await ann.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('a gang is had whole, its owners know of it, and who waits gets what is given back', async () => {
    const gang = await ann.resources.allocate({ parts: [{ units: { cpu: 4_000 } }, { units: { cpu: 2_000 } }] })
    assert.deepEqual(
      gang.parts.map(({ owner }) => owner),
      [one(0).id, one(1).id],
    )
    await until('its owner knows of it', async () => {
      const given = await one(1).ask('givenNow', undefined)
      return given.length === 1 && given[0]?.units.cpu === 2_000
    })
    const waiting = one(2).ask('allocate', { id: 'small', units: { cpu: 1 }, timeoutMs: 20_000 })
    const denied = await failureOf(ann.resources.allocate({ units: { cpu: 1 }, timeoutMs: 0 }))
    assert.equal(Reflect.get(Object(denied), 'details').why, 'all-in-use')
    await gang.release()
    assert.ok(gang.signal.aborted)
    assert.equal((await waiting).length, 1)
    await until('its owner knows that it is over', async () =>
      (await one(1).ask('givenNow', undefined)).every(({ units }) => units.cpu !== 2_000),
    )
    await one(2).ask('releaseAllocation', { id: 'small' })
  })

  it('whoever listens hears what is asked for and what is used, and who says so', async () => {
    const heard: { what: string; source: string }[] = []
    const { leader } = ann.coordinator.status()
    const isToldOf = (what: string): boolean => heard.some((one) => one.what === what && one.source === leader)
    const subscriptions = [
      await ann.events.subscribe(resourceStatusEvent, ({ data: { resource_id, status, used }, source }) => {
        heard.push({ what: `${resource_id} ${used} ${status}`, source })
      }),
      await ann.events.subscribe(resourceRequestEvent, ({ data: { request_id, requirements }, source }) => {
        heard.push({ what: `${request_id} ${JSON.stringify(requirements)}`, source })
      }),
    ]
    const cpu = `cpu@${one(0).id}`
    const held = await ann.resources.allocate({ id: 'all', units: { cpu: 4_000 } })
    await until('it is told what was asked for', () => isToldOf('all {"resources":{"cpu":4000}}'))
    await until('it is told that all is in use', () => isToldOf(`${cpu} 4000 full`))
    // Any member may publish anywhere: its own name stands there.
    const lie = { resource_id: cpu, status: 'lost' as const, capacity: 0, used: 0, timestamp: 1 }
    await ann.events.publish(resourceStatusEvent, lie, { topic: `resources.status.${cpu}` })
    await until('a lie is heard', () => heard.some(({ what }) => what === `${cpu} 0 lost`))
    await held.release()
    await until('it is told that it is free', () => isToldOf(`${cpu} 0 available`))
    assert.deepEqual(
      heard.filter(({ source }) => source !== leader),
      [{ what: `${cpu} 0 lost`, source: ann.self.id }],
    )
    for (const subscription of subscriptions) await subscription.stop()
  })

  it('what an exclusive one has nobody else gets, and messages of seed 001 say so', async () => {
    const requirements = { resources: { 'robot-arm': 1 } }
    const asked = { request_id: 'r1', task_id: 't1', requirements }
    const first = await ann.resources.receive('resource.allocate', asked)
    assert.equal(first.type, 'resource.allocated')
    const second = await ann.resources.receive('resource.allocate', {
      ...asked,
      ...{ request_id: 'r2', task_id: 't2', allocation_timeout: 0 },
    })
    assert.equal(second.type, 'resource.denied')
    const released = await ann.resources.receive('resource.release', { task_id: 't1' })
    assert.deepEqual(released.payload, { task_id: 't1', resource_ids: [`robot-arm@${one(0).id}`] })
  })

  it('tasks get what they require where they are worked on, and give it back', async () => {
    for (const peer of peers) await peer.ask('workWith', { ms: 150 })
    const cores = await ann.tasks.submitAll(
      Array.from({ length: 8 }, (_, i) => ({ id: `core-${i}`, type: 'using', requirements: { cpu_cores: 2 } })),
    )
    const names = await Promise.all(cores.map((task) => task.result({ timeoutMs: 30_000 })))
    assert.ok(names.includes('one') && !names.includes('three'), `worked on by ${names}`)
    const arm = { id: 'arm', type: 'using', requirements: { resources: { 'robot-arm': 1 } } }
    assert.equal(await (await ann.tasks.submit(arm)).result({ timeoutMs: 30_000 }), 'one')
    assert.ok((await one(0).ask('mostAtOnce', undefined)) <= 2, 'two of two cores at once')
    assert.ok((await one(1).ask('mostAtOnce', undefined)) <= 1)
    await until('nothing is allocated any more', async () => (await ann.resources.list()).length === 0)
    const large = await ann.tasks.submit({ id: 'large', type: 'using', requirements: { cpu_cores: 5 } })
    await until('it says why it waits', async () => (await large.state()).record.reason === 'no-such-capacity')
    const held = await ann.resources.allocate({ parts: [{ units: { cpu: 4_000 } }, { units: { cpu: 2_000 } }] })
    const waits = await ann.tasks.submit({ id: 'waits', type: 'using', requirements: { cpu_cores: 1 } })
    await until('all is in use', async () => (await waits.state()).record.reason === 'all-in-use')
    await held.release()
    await waits.result({ timeoutMs: 30_000 })
    await large.cancel('it was too large')
  })

  it('whoever coordinates is killed: what was given stays, and who waits is answered by the next one', async () => {
    const held = await ann.resources.allocate({ id: 'kept', units: { cpu: 1_500 } })
    const { leader } = ann.coordinator.status()
    const killed = peers.findIndex(({ id }) => id === leader)
    assert.ok(killed >= 0)
    const owner = held.parts[0]?.owner
    await one(killed).kill()
    const got = await ann.resources.allocate({ id: 'after', units: { cpu: 100 }, timeoutMs: 30_000 })
    assert.equal(got.parts.length, 1)
    if (owner !== leader) {
      assert.equal((await ann.resources.get('kept')).status, 'allocated')
      assert.ok(!held.signal.aborted)
    }
  })
})
