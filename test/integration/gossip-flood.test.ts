/** A member that floods gossip: it is cut off where it lies, kept at its share where it does not, and others hear on. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import type { FlooderSays, FloodKind } from '../support/gossip-flooder.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { programOf } from '../support/program.ts'
import { until } from '../support/until.ts'

const MESH = 'flooded'
const FLOODER = programOf('test/support/gossip-flooder.ts')
/** From its first message until it is disconnected. */
const CUT_WITHIN_MS = 5_000
const PINGS = 60
/** Under a flood of well-formed messages, on a machine whose processors the flooder uses as well. */
const HEARD_WITHIN_MS = 1_000

describe('a member that floods gossip', { timeout: 90_000 }, () => {
  const secret = makeSecret()
  const flooders: ChildProcess[] = []
  let ours: OwnMesh
  let source: Peer
  let heard = 0

  before(async () => {
    source = await startPeer({ name: 'source', mesh: MESH, secret, timings: { deadAfterMs: 60_000 } })
    ours = await startMesh({
      name: 'ours',
      mesh: MESH,
      secret,
      join: source.addresses,
      // The flooders answer no beats; they are to be cut off for what they send.
      timings: { deadAfterMs: 60_000 },
    })
    await ours.mesh.joined()
    await ours.mesh.events.subscribe('tasks.ping', () => {
      heard += 1
    })
  })
  after(async () => {
    for (const { pid } of flooders) if (pid !== undefined) process.kill(pid, 'SIGKILL')
    endProcesses()
    await stopMeshes()
  })

  const gossip = () => ours.mesh.figures().gossip
  const flood = (kind: FloodKind): { child: ChildProcess; said: FlooderSays[] } => {
    const said: FlooderSays[] = []
    const child = fork(FLOODER, [ours.mesh.self.addresses[0] ?? '', MESH, secret, kind], { stdio: 'inherit' })
    flooders.push(child)
    child.on('message', (each) => void said.push(each as FlooderSays))
    return { child, said }
  }
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    flooders.splice(flooders.indexOf(child), 1)
  }

  /** The 99th percentile of the time until an event of the honest source is heard here, milliseconds. */
  const p99 = async (): Promise<number> => {
    const times: number[] = []
    for (let n = 0; n < PINGS; n += 1) {
      const before = heard
      const startedAt = performance.now()
      await source.ask('publish', { topic: 'tasks.ping', from: n, count: 1, bytes: 10 })
      await until('the event is heard', () => heard > before)
      times.push(performance.now() - startedAt)
    }
    return times.sort((a, b) => a - b)[Math.floor(PINGS * 0.99)] ?? Number.POSITIVE_INFINITY
  }

  for (const kind of ['forged', 'garbage'] as const) {
    it(`with what is ${kind} is cut off within ${CUT_WITHIN_MS} ms, not let in again, and told why`, async (t) => {
      const before = await p99()
      const cutBefore = gossip().intake.cut
      const { child, said } = flood(kind)
      await until('it is admitted', () => said.some((each) => each.kind === 'admitted'), 20_000)
      const startedAt = performance.now()
      await until('it is cut off', () => said.some((each) => each.kind === 'cut'), CUT_WITHIN_MS)
      const tookMs = performance.now() - startedAt
      assert.equal(gossip().intake.cut, cutBefore + 1)
      const answer = await until('it is told', () => said.find((each) => each.kind === 'answered'))
      assert.match(answer.text, /cut-off/)
      const afterwards = await p99()
      t.diagnostic(`cut after ${tookMs | 0} ms; p99 ${before.toFixed(1)} ms before, ${afterwards.toFixed(1)} ms after`)
      assert.ok(ours.log.lines.some(({ level, message }) => level === 'warn' && message.includes('it is cut off')))
      await end(child)
    })
  }

  for (const kind of ['own', 'control'] as const) {
    it(`with ${kind} messages that are well formed stays, and is not heard before others`, async (t) => {
      const before = await p99()
      const { child, said } = flood(kind)
      await until('it is admitted', () => said.some((each) => each.kind === 'admitted'), 20_000)
      const during = await p99()
      assert.equal(said.length, 1, 'it does nothing for which it would be cut off')
      await end(child)
      t.diagnostic(`p99 ${before.toFixed(1)} ms before, ${during.toFixed(1)} ms during`)
      assert.ok(during < HEARD_WITHIN_MS, `${during} ms`)
    })
  }
})
