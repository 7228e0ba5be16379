/** Addresses that swallow packets beside ones that answer: real processes in a network namespace. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { createNamespace, type Namespace, noSwallowing } from '../support/namespace.ts'
import { endProcesses, forkProcess, type Peer, type PeerProcess, startPeer } from '../support/processes.ts'
import { timed, until } from '../support/until.ts'

const PORT = 4001
const [LIVE, OTHER, ...DEAD] = [
  '10.77.0.1',
  '10.77.0.2',
  '10.77.0.11',
  '10.77.0.12',
  '10.77.0.13',
  '10.77.0.14',
] as const
const RUNS = 15
/** Joining takes some 20 ms here: of so few, one of the machine's own pauses is half. */
const PAUSE_MS = 10
const at = (ip: string): string => `/ip4/${ip}/tcp/${PORT}`
const median = (figures: readonly number[]): number => [...figures].sort((a, b) => a - b)[figures.length >> 1] ?? 0

describe('an address that swallows packets', { timeout: 90_000, skip: noSwallowing() }, () => {
  // Whoever waits for a dead address waits for longer than any of the times below.
  const common = { mesh: 'dead', log: 'error' as const, secret: makeSecret(), timings: { dialTimeoutMs: 20_000 } }
  let space: Namespace
  let live: Peer
  let joiner: PeerProcess
  let serial = 0

  before(async () => {
    space = await createNamespace(
      [LIVE, OTHER, ...DEAD].map((ip) => `${ip}/32`),
      '10.77.0.53',
    )
    for (const ip of DEAD) space.swallow(ip)
    await space.setNames({ a: { 'live.test': [LIVE], 'both.test': [DEAD[0], LIVE], 'many.test': [...DEAD, LIVE] } })
    live = await startPeer({ ...common, name: 'live', listen: [at(LIVE)] }, { enter: space.enter })
    joiner = forkProcess(space.enter)
    await joinMs(at(LIVE))
  })
  after(async () => {
    endProcesses()
    await space.remove()
  })

  /** Milliseconds from the start of a node until it is in the mesh. */
  const joinMs = async (...join: string[]): Promise<number> => {
    serial += 1
    const as = `joiner-${serial}`
    const { ms } = await timed(async () => {
      await joiner.ask('start', { ...common, name: as, listen: [], join }, { as })
      await joiner.ask('joined', {}, { as })
    })
    await joiner.ask('stop', undefined, { as })
    return ms
  }

  /** Both by turns, so that other work on this machine meets both. */
  const compare = async (alone: string[], both: string[]): Promise<void> => {
    const times = { alone: [] as number[], both: [] as number[] }
    for (let run = 0; run < RUNS; run += 1) {
      times.alone.push(await joinMs(...alone))
      times.both.push(await joinMs(...both))
    }
    const [usual, beside] = [median(times.alone), median(times.both)]
    assert.ok(
      beside <= 1.5 * usual + PAUSE_MS,
      `${Math.round(beside)} ms beside dead ones, ${Math.round(usual)} ms alone`,
    )
  }

  it('among the join addresses does not delay joining', () => compare([at(LIVE)], [at(DEAD[0]), at(LIVE)]))

  it('behind a name does not delay joining', () => compare(['/dns4/live.test/tcp/4001'], ['/dns4/both.test/tcp/4001']))

  it('delays joining by a stagger each where a name has four of them before the live one', async () => {
    const ms = await joinMs('/dns4/many.test/tcp/4001')
    assert.ok(ms < 3_000, `took ${Math.round(ms)} ms`)
  })

  it('in the record of an agent delays a call by a stagger, not until a timeout', async () => {
    const twice = await startPeer(
      { ...common, name: 'twice', listen: [at(OTHER)], announce: [at(DEAD[0]), at(OTHER)], join: [at(LIVE)] },
      { enter: space.enter },
    )
    await until('it is known', async () => {
      const { agents } = await live.ask('facts', undefined)
      return agents.some(({ peer }) => peer === twice.id)
    })
    const before = space.swallowed()
    const caller = await startPeer({ ...common, name: 'caller', listen: [], join: [at(LIVE)] }, { enter: space.enter })
    await caller.ask('joined', {})
    const { ms } = await timed(() => caller.ask('call', { to: twice.id, method: 'who', input: {} }))
    assert.ok(ms < 3_000, `took ${Math.round(ms)} ms`)
    assert.ok(space.swallowed() > before, 'the dead address was tried first')
  })
})
