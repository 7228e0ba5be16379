/** A running mesh that changes its options: real nodes over loopback. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, describe, test } from 'node:test'
import * as z from 'zod'
import { createMesh, defineProtocol, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { BRISK, keptLog, startMesh, stopMeshes } from '../support/meshes.ts'
import { until } from '../support/until.ts'

const slow = defineProtocol({
  name: 'slow',
  version: '1.0.0',
  methods: { wait: { request: z.object({}), response: z.object({}) } },
})

describe('options of a running mesh', { timeout: 60_000 }, () => {
  after(stopMeshes)
  const timings = BRISK

  test('with a new secret beside the old one, both are let in and nobody is cut; then the old one is not', async () => {
    const [old, next] = [makeSecret(), makeSecret()]
    const { mesh: a } = await startMesh({ name: 'a', secret: old, timings })
    const join = a.self.addresses
    const { mesh: b } = await startMesh({ name: 'b', secret: old, join, timings })
    await b.joined()
    const lost: string[] = []
    a.onMember(({ name }, change) => change === 'left' && lost.push(name))

    const log = keptLog()
    const early = createMesh({ name: 'c', secret: next, join, timings, log })
    const c: Mesh = await early
    await until('the refusal', () => log.lines.some(({ message }) => /refused/.test(message)))
    assert.deepEqual(await a.reload({ secret: [next, old] }), { applied: ['secret'], needsRestart: [], unchanged: [] })
    await until('c is let in', () => a.members().some(({ name }) => name === 'c'))

    assert.deepEqual((await b.reload({ secret: [next, old] })).applied, ['secret'])
    assert.deepEqual((await a.reload({ secret: next })).applied, ['secret'])
    assert.deepEqual(lost, [])
    assert.deepEqual(
      a
        .members()
        .map(({ name }) => name)
        .sort(),
      ['b', 'c'],
    )
    const stranger = await createMesh({ name: 'd', secret: old, join, timings, log: keptLog() })
    await assert.rejects(stranger.joined(), (error) => isParleyError(error, 'SEC001'))
    await Promise.all([c.stop(), stranger.stop()])
  })

  test('limits, labels and timeouts hold at once, and others see the labels', async () => {
    const { mesh: a } = await startMesh({ name: 'a', timings, labels: { zone: 'a' } })
    const { mesh: b } = await startMesh({ name: 'b', join: a.self.addresses, timings })
    await b.joined()
    let release = (): void => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await a.serve(slow, {
      async wait() {
        await gate
        return {}
      },
    })
    const client = b.to(a.self.id, slow)

    const applied = await a.reload({
      labels: { zone: 'b' },
      limits: { maxActive: 1, maxQueuedInbound: 0 },
    })
    assert.deepEqual(applied.applied, ['labels', 'limits.maxActive', 'limits.maxQueuedInbound'])
    const first = client.wait({})
    await until('one is in work', () => a.figures().active === 1)
    await assert.rejects(client.wait({}, { timeoutMs: 300 }), (error) => isParleyError(error, 'COM003'))
    await until('the label is known', () => b.directory.get(a.self.id)?.record.labels.zone === 'b')

    assert.deepEqual((await b.reload({ timings: { callTimeoutMs: 150 } })).applied, ['timings.callTimeoutMs'])
    await a.reload({ limits: { maxActive: 10 } })
    await assert.rejects(client.wait({}), (error) => isParleyError(error, 'COM001'))
    release()
    await first
  })

  test('new connections beyond a lower rate are refused from then on', async (context) => {
    const { mesh } = await startMesh({ name: 'a', timings: { ...timings, admissionTimeoutMs: 60_000 } })
    const port = Number(mesh.self.addresses[0]?.split('/')[4])
    const { applied } = await mesh.reload({ limits: { inboundConnectionsPerSecond: 2 } })
    assert.deepEqual(applied, ['limits.inboundConnectionsPerSecond'])
    let closed = 0
    const sockets = Array.from({ length: 12 }, () => connect(port, '127.0.0.1').resume())
    for (const socket of sockets) {
      socket.on('error', () => {})
      socket.on('close', () => {
        closed += 1
      })
    }
    context.after(() => {
      for (const socket of sockets) socket.destroy()
    })
    // Those of at most three seconds were taken, on a machine that is slow.
    await until('most are closed', () => closed >= 6)
  })

  test('reloads that come together are done one after the other', async () => {
    const { mesh } = await startMesh({ name: 'a', timings })
    const results = await Promise.allSettled([
      mesh.reload({ limits: { maxActive: 5 } }),
      mesh.reload({ limits: { maxActive: -5 } }),
      mesh.reload({ limits: { maxActive: 5 } }),
      mesh.reload({ dataDir: 'elsewhere' }),
    ])
    assert.deepEqual(
      results.map((one) => (one.status === 'fulfilled' ? Object.values(one.value).flat() : one.reason.code)),
      [['limits.maxActive'], 'MSG001', ['limits.maxActive'], ['dataDir']],
    )
  })
})
