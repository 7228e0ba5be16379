/** One call of each kind, with the check of its answer. Keeps no state but the peers that may be asked. */
import type { Mesh } from '../../node/index.ts'
import { soak } from './contract.ts'
import type { CallKind } from './mix.ts'
import type { Random } from './random.ts'

const SHORT = 'parley '.repeat(8)
const LARGE = 'parley '.repeat(20_000)
const STREAMED = 30
const READ_BEFORE_BREAK = 10
const HOLD_MS = 30
/** A timer that fires later than this is a fault, however busy the machine. */
const LATE_MS = 5_000

/** What a call came to when it went as it should; anything else is thrown. */
export type Ending = 'answered' | 'cancelled' | 'timed-out'

/** An answer that is not the one that was asked for. */
export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer'
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

const same = (n: number, text: string, by: string | undefined, answer: { n: number; text: string; by: string }) => {
  if (answer.n === n && answer.text === text && (by === undefined || answer.by === by)) return
  throw new WrongAnswer(
    `asked for ${n} of ${by ?? 'anyone'}, got ${answer.n} of ${answer.by}, ${answer.text.length} characters`,
  )
}

export interface Calling {
  /** Peers other than this node that may be called by name. */
  peers(): readonly string[]
  /** @throws what the call failed with, or WrongAnswer */
  run(kind: CallKind, target: string, n: number): Promise<Ending>
}

export const createCalling = (mesh: Mesh, random: Random): Calling => {
  const self = mesh.self.id
  const any = mesh.any(soak, { exclude: [self] })

  const read = async (target: string, upTo: number): Promise<void> => {
    let last = 0
    for await (const { n, text } of mesh.to(target, soak).count({ to: STREAMED, text: SHORT })) {
      last += 1
      if (n !== last || text !== SHORT) throw new WrongAnswer(`item ${n} of a stream came in place of ${last}`)
      if (last === upTo) break
    }
    if (last !== upTo) throw new WrongAnswer(`a stream ended after ${last} of ${upTo} items`)
  }

  const everyone = async (n: number): Promise<void> => {
    let good = 0
    for await (const reply of mesh.all(soak).echo({ n, text: SHORT })) {
      if ('error' in reply) continue
      same(n, SHORT, reply.peer, reply.value)
      good += 1
    }
    if (good === 0) throw new WrongAnswer('nobody answered a call to all')
  }

  const cancel = async (target: string, n: number): Promise<Ending> => {
    const stop = new AbortController()
    const reason = new Error('cancelled by the soak')
    const call = mesh.to(target, soak).hold({ n }, { signal: stop.signal })
    const timer = setTimeout(() => stop.abort(reason), random.between(0, HOLD_MS))
    try {
      await call
    } catch (error) {
      if (error === reason) return 'cancelled'
      throw error
    } finally {
      clearTimeout(timer)
    }
    throw new WrongAnswer('a call that is never answered was answered')
  }

  const timeOut = async (target: string, n: number): Promise<Ending> => {
    const startedAt = performance.now()
    try {
      await mesh.to(target, soak).hold({ n }, { timeoutMs: HOLD_MS })
    } catch (error) {
      if (codeOf(error) !== 'COM001') throw error
      const ms = performance.now() - startedAt
      if (ms > HOLD_MS + LATE_MS)
        throw new WrongAnswer(`a call with ${HOLD_MS} ms timed out after ${Math.round(ms)} ms`)
      return 'timed-out'
    }
    throw new WrongAnswer('a call that is never answered was answered')
  }

  const echoes: Record<string, (target: string, n: number) => Promise<void>> = {
    'echo-any': async (_, n) => same(n, SHORT, undefined, await any.echo({ n, text: SHORT })),
    'echo-to': async (target, n) => same(n, SHORT, target, await mesh.to(target, soak).echo({ n, text: SHORT })),
    'once-any': async (_, n) => same(n, SHORT, undefined, await any.once({ n, text: SHORT })),
    'once-to': async (target, n) => same(n, SHORT, target, await mesh.to(target, soak).once({ n, text: SHORT })),
    binary: async (target, n) => same(n, SHORT, target, await mesh.to(target, soak).binary({ n, text: SHORT })),
    large: async (target, n) => same(n, LARGE, target, await mesh.to(target, soak).echo({ n, text: LARGE })),
    self: async (_, n) => same(n, SHORT, self, await mesh.to(self, soak).echo({ n, text: SHORT })),
    stream: (target) => read(target, STREAMED),
    'broken-off': (target) => read(target, READ_BEFORE_BREAK),
    note: (target, n) => mesh.to(target, soak).note({ n }),
    all: (_, n) => everyone(n),
  }

  return {
    peers: () =>
      mesh.directory
        .offers('soak', 1)
        .map(({ peer }) => peer)
        .filter((peer) => peer !== self),
    async run(kind, target, n) {
      if (kind === 'cancelled') return cancel(target, n)
      if (kind === 'timed-out') return timeOut(target, n)
      await echoes[kind]?.(target, n)
      return 'answered'
    },
  }
}

/** Kinds whose peer the mesh chooses. */
export const isAddressedByMesh = (kind: CallKind): boolean => kind.endsWith('-any') || kind === 'all'
