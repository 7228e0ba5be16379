/** Five nodes as processes in network namespaces of their own; what lies between them is cut, one way and both ways. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { makeSecret } from '../../node/index.ts'
import { COUNTER, checkCounter, checkWrites, type Load, startLoad } from '../support/journal-load.ts'
import { endJournalPeers, type JournalPeer, startJournalPeer } from '../support/journal-peers.ts'
import {
  between,
  type Cut,
  createSwitched,
  noSwitched,
  type Place,
  type Switched,
  unheard,
} from '../support/namespaces-mesh.ts'
import { RemoteFailure } from '../support/processes.ts'
import { failureOf, timed, until } from '../support/until.ts'

const NAMES = ['one', 'two', 'three', 'four', 'five']
const PORT = 4001
const PUT_MS = 1_000
const WINDOW_MS = 4_000
const HEAL_MS = 15_000
const LOOK_MS = 50
/** A connection that a cut left hanging is given up in two seconds. */
const timings = {
  probePeriodMs: 250,
  probeTimeoutMs: 250,
  deadAfterMs: 2_000,
  dialTimeoutMs: 1_000,
  admissionTimeoutMs: 2_000,
  backoffMinMs: 100,
  backoffMaxMs: 500,
}

interface Node {
  readonly place: Place
  readonly peer: JournalPeer
}

const rounded = (figures: readonly number[]): string => figures.map((ms) => Math.round(ms)).join(', ')

describe('five nodes whose network is cut', { timeout: 140_000, skip: noSwitched() }, () => {
  let folder = ''
  let net: Switched
  let load: Load
  const nodes: Node[] = []

  const placesOf = (some: readonly Node[]): Place[] => some.map(({ place }) => place)

  /** Who was seen to act in each epoch. */
  const acted = new Map<number, Set<string>>()

  const look = async (some: readonly Node[]): Promise<{ node: Node; epoch: number; acting: boolean }[]> => {
    const asked = some.map(async (node) => ({ node, ...(await node.peer.ask('status', undefined)) }))
    const seen = await Promise.all(asked)
    for (const { node, epoch, acting } of seen)
      if (acting) acted.set(epoch, (acted.get(epoch) ?? new Set()).add(node.peer.id))
    return seen
  }
  /** Who acts, of those that think that they do, in the highest epoch. */
  const leaderAmong = async (some: readonly Node[]): Promise<Node | undefined> => {
    const acting = (await look(some)).filter((one) => one.acting)
    return acting.toSorted((a, b) => b.epoch - a.epoch)[0]?.node
  }
  /** The one that leads now, and four others. */
  const seated = async (): Promise<[leader: Node, Node, Node, Node, Node]> => {
    const leader = await until('somebody leads', () => leaderAmong(nodes), HEAL_MS, LOOK_MS)
    const [a, b, c, d] = nodes.filter((node) => node !== leader)
    if (a === undefined || b === undefined || c === undefined || d === undefined) assert.fail('five nodes are there')
    return [leader, a, b, c, d]
  }
  const term = async (): Promise<number> => Math.max(...(await look(nodes)).map(({ epoch }) => epoch))
  const decisions = (some: readonly Node[], since: number): number[] =>
    load.writes
      .filter(({ outcome, callAt }) => outcome === 'acknowledged' && callAt >= since)
      .filter(({ node }) => some.some(({ peer }) => peer.name === node))
      .map(({ endAt }) => endAt)

  /** Each node decides again; then all have the same, and it is what was answered. @returns ms until each decided */
  const healed = async (): Promise<number[]> => {
    net.heal()
    const healedAt = performance.now()
    const took = await Promise.all(
      nodes.map(async (node) => {
        await until(`${node.peer.name} decides again`, () => decisions([node], healedAt).length > 0, HEAL_MS)
        return performance.now() - healedAt
      }),
    )
    await load.pause()
    try {
      const digests = (): Promise<string[]> => Promise.all(nodes.map(({ peer }) => peer.ask('digest', undefined)))
      await until('all have the same records', async () => new Set(await digests()).size === 1, HEAL_MS, LOOK_MS)
      const [{ peer } = assert.fail()] = nodes
      await checkWrites(load.writes, peer)
    } finally {
      load.resume()
    }
    return took
  }

  /**
   * Disturbs for a while, heals, compares.
   * @param deciding nodes that are able to decide meanwhile, but for a moment at the beginning; not each of them where
   *   the network only gets through now and then
   */
  const during = async (
    t: TestContext,
    deciding: readonly Node[],
    disturb: (ms: number) => Promise<void>,
    { mostTerms, ms = WINDOW_MS, isSteady = true }: { mostTerms: number; ms?: number; isSteady?: boolean },
  ): Promise<void> => {
    const termBefore = await term()
    const cutAt = performance.now()
    await disturb(ms)
    const times = decisions(deciding, cutAt).toSorted((a, b) => a - b)
    const gaps = [cutAt, ...times, performance.now()].map((at, i, all) => at - (all[i - 1] ?? at))
    const silent = deciding.filter((node) => decisions([node], cutAt + ms / 2).length === 0)
    const took = await healed()
    const terms = (await term()) - termBefore
    t.diagnostic(
      `${times.length} decisions, longest pause ${rounded([Math.max(...gaps)])} ms; new terms ${terms}; each decided again ${rounded(took)} ms after`,
    )
    const names = silent.map(({ peer }) => peer.name).join()
    assert.ok(silent.length < (isSteady ? 1 : deciding.length), `${names} cannot decide`)
    assert.ok(terms <= mostTerms, `${terms} new terms, at most ${mostTerms} expected`)
  }
  const cut = (cuts: readonly Cut[]) => async (ms: number) => {
    net.cut(cuts)
    await setTimeout(ms)
    const [[one, other] = assert.fail()] = cuts.map((pair) => pair.map((at) => nodes.find(({ place }) => place === at)))
    const call = one?.peer.ask('echo', { to: other?.peer.id ?? '', text: 'hello', timeoutMs: 300 })
    const error = await failureOf(call ?? assert.fail())
    assert.ok(error instanceof RemoteFailure, `what is cut is cut: ${error}`)
  }

  before(async () => {
    net = createSwitched(NAMES.length)
    folder = await mkdtemp(join(tmpdir(), 'parley-partition-'))
    const common = { mesh: 'cut', secret: makeSecret(), timings, coordination: { expect: NAMES.length } }
    const at = ({ address }: Place): string => `/ip4/${address}/tcp/${PORT}`
    const starting = net.places.map(async (place, i): Promise<Node> => {
      const name = NAMES[i] ?? ''
      const own = { name, dataDir: join(folder, name), listen: [at(place)] }
      const join_ = net.places.filter((other) => other !== place).map(at)
      return { place, peer: await startJournalPeer({ ...common, ...own, join: join_ }, place.enter) }
    })
    nodes.push(...(await Promise.all(starting)))
    await until('there is a coordinator', () => leaderAmong(nodes), 30_000, LOOK_MS)
    load = startLoad(
      nodes.map(({ peer }) => peer),
      PUT_MS,
    )
    await healed()
  })
  after(async () => {
    await load?.pause().catch(() => {})
    endJournalPeers()
    net?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  it('the side of three decides on without the coordinator, the side of two decides nothing', async (t) => {
    const [leader, other, ...majority] = await seated()
    const minority = [leader, other]
    const refusals: string[] = []
    const refusal = async (run: () => Promise<unknown>): Promise<void> => {
      const { ms, value } = await timed(() => failureOf(run()))
      assert.ok(value instanceof RemoteFailure && value.code !== undefined, `a typed error: ${value}`)
      assert.ok(ms < PUT_MS + 500, `${ms} ms`)
      refusals.push(`${value.code} ${JSON.stringify(value.details)} ${Math.round(ms)} ms`)
    }
    await during(
      t,
      majority,
      async (ms) => {
        net.cut(between(placesOf(minority), placesOf(majority)))
        const cutAt = performance.now()
        const next = await until('the other side has a coordinator', () => leaderAmong(majority), HEAL_MS, LOOK_MS)
        const [first] = decisions(majority, cutAt)
        await until('a decision there', () => decisions(majority, cutAt).length > 0)
        t.diagnostic(`${next.peer.name} decides ${rounded([(first ?? performance.now()) - cutAt])} ms after the cut`)
        await Promise.all(
          minority.map(async ({ peer }, i) => {
            const [neighbour = assert.fail()] = minority.filter((node) => node.peer !== peer)
            const about = `from ${peer.name}`
            await refusal(() => peer.ask('put', { key: `cut/${i}`, value: 1, timeoutMs: PUT_MS }))
            await refusal(() => peer.ask('get', { key: COUNTER, timeoutMs: PUT_MS }))
            const local = await peer.ask('get', { key: COUNTER, timeoutMs: PUT_MS, consistency: 'local' })
            assert.ok(local !== undefined, `${about}: what it has can be read`)
            const heard = await peer.ask('echo', { to: neighbour.peer.id, text: about, timeoutMs: 1_000 })
            assert.equal(heard, about, 'calls go on')
            await until(`${peer.name} knows that it has no quorum`, async () => {
              const { quorum, acting } = await peer.ask('status', undefined)
              return !quorum && !acting
            })
            const { status, body } = await peer.ask('look', { path: '/readyz' })
            assert.equal(status, 200, body)
            assert.match(JSON.parse(body).degraded.join(), /no coordinator/)
          }),
        )
        assert.deepEqual(decisions(minority, cutAt), [], 'nothing is decided there')
        t.diagnostic(`the side of two was told: ${refusals.join('; ')}`)
        await setTimeout(Math.max(0, ms - (performance.now() - cutAt)))
        assert.deepEqual(decisions(minority, cutAt), [], 'nothing is decided there')
      },
      { mostTerms: 2 },
    )
  })

  it('a voter that hears and is not heard disturbs nobody', async (t) => {
    const [leader, deaf, ...rest] = await seated()
    const others = [leader, ...rest]
    await during(t, others, cut(unheard(placesOf([deaf]), placesOf(others))), { mostTerms: 1 })
  })

  it('a coordinator that hears and is not heard is replaced once', async (t) => {
    const [leader, ...others] = await seated()
    await during(t, others, cut(unheard(placesOf([leader]), placesOf(others))), { mostTerms: 2 })
  })

  it('a coordinator that one voter cannot hear goes on, and what it answered in vain is decided once', async (t) => {
    const [leader, lonely, ...rest] = await seated()
    const key = 'answered-in-vain'
    let answer: Promise<{ version: number }> | undefined
    const version = async (): Promise<number> =>
      (await leader.peer.ask('get', { key, consistency: 'local' }))?.version ?? 0
    let [decided, newer] = [0, 0]
    await during(
      t,
      [leader, ...rest],
      async (ms) => {
        net.cut(unheard([leader.place], [lonely.place]))
        // It gets there on a connection that is open, and is asked for again when that is given up.
        answer = lonely.peer.ask('put', { key, value: 'first', timeoutMs: 25_000 })
        answer.catch(() => {})
        decided = await until('it is decided', async () => (await version()) || undefined)
        newer = (await leader.peer.ask('put', { key, value: 'second' })).version
        await cut(unheard([leader.place], [lonely.place]))(ms)
      },
      { mostTerms: 1 },
    )
    assert.equal((await answer)?.version, decided, 'it is told of its first time')
    assert.equal(await version(), newer, 'it does not undo what came after')
  })

  it('a coordinator that cannot hear one voter goes on', async (t) => {
    const [leader, lonely, ...rest] = await seated()
    await during(t, [leader, ...rest], cut(unheard([lonely.place], [leader.place])), { mostTerms: 1 })
  })

  it('a coordinator and a voter that do not see each other, while all others see both, disturb nobody', async (t) => {
    const [leader, lonely, ...rest] = await seated()
    await during(t, [leader, ...rest], cut(between([leader.place], [lonely.place])), { mostTerms: 1 })
  })

  it('two halves that only one node sees both of decide on', async (t) => {
    const [leader, one, two, three, bridge] = await seated()
    const half = placesOf([leader, one])
    const otherHalf = placesOf([two, three])
    await during(t, [leader, one, bridge], cut(between(half, otherHalf)), { mostTerms: 2 })
  })

  it('a coordinator that only one other node sees is replaced once', async (t) => {
    const [leader, bridge, ...rest] = await seated()
    await during(t, [bridge, ...rest], cut(between([leader.place], placesOf(rest))), { mostTerms: 2 })
  })

  it('a cut that comes and goes moves few terms, and all is well after', async (t) => {
    const [leader, other, ...majority] = await seated()
    const cuts = between(placesOf([leader, other]), placesOf(majority))
    await during(
      t,
      majority,
      async (ms) => {
        for (let at = 0; at < ms; at += 600) {
          net.cut(cuts)
          await setTimeout(300)
          net.heal()
          await setTimeout(300)
        }
      },
      { mostTerms: 4, ms: 8_000, isSteady: false },
    )
  })

  it('what was answered could come from one place, and each epoch had one coordinator', async (t) => {
    await load.pause()
    const last = await Promise.all(nodes.map(({ peer }) => peer.ask('get', { key: COUNTER })))
    assert.equal(new Set(last.map((record) => record?.version)).size, 1, 'all read the same')
    checkCounter(load.counter, String(last[0]?.value))
    const histories = await Promise.all(nodes.map(({ peer }) => peer.ask('history', {})))
    for (const history of histories) assert.deepEqual(history, histories[0])
    const leaders = new Map(histories[0]?.map(({ epoch, leader }) => [epoch, leader]))
    for (const [epoch, seen] of acted) assert.deepEqual([...seen], [leaders.get(epoch)], `who acted in epoch ${epoch}`)
    const outcomes = Object.entries(Object.groupBy(load.writes, ({ outcome, why }) => `${outcome} ${why}`.trim()))
    t.diagnostic(outcomes.map(([what, some]) => `${what}: ${some?.length}`).join('; '))
    t.diagnostic(`${load.counter.length} operations on the counter; ${leaders.size} epochs, ${acted.size} were seen`)
  })
})
