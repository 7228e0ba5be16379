/**
 * The sending side of a crash run: workers that count and send in one transaction, each on streams of its own, and others
 * that send without one and write down what they got a receipt for. State: how many were sent, what was refused by code.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { createRandom } from '../../soak/random.ts'
import { sendNext } from './recording.ts'
import { Item, itemOf, KINDS, type KindName, optionsOf, streamOf } from './streams.ts'

export const ACKED_FILE = 'acked.log'
const WORKERS = 8
/** Sends of one stream that wait for their receipts at once. */
const PIPELINE = 4
const AGAIN_MS = 50

export interface LoadOrder {
  readonly count: number
  readonly phase: string
  readonly seed: number
  /** Peer ids; the first is the one, all are the list. Without a second one nothing goes to a list. */
  readonly peers: readonly string[]
  /** Of this process: numbers of plain sends begin anew with each, so that none is used twice. */
  readonly life: number
  /** Only these kinds. */
  readonly kinds?: readonly KindName[]
  /** All workers together, per second; undefined: as fast as it goes. */
  readonly perSecond?: number
}

export interface LoadFigures {
  readonly sent: number
  readonly refused: Readonly<Record<string, number>>
}

export interface Load {
  run(order: LoadOrder): Promise<LoadFigures>
  figures(): LoadFigures
  /** Ends what runs. */
  halt(): void
}

const NUMBERS_OF_LIFE = 1_000_000

export const createLoad = (mesh: Mesh, name: string, folder: string): Load => {
  let sent = 0
  let isHalted = false
  const refused: Record<string, number> = {}
  const last = new Map<string, number>()

  const failed = async (error: unknown): Promise<void> => {
    const code = isParleyError(error) ? `${error.code} ${error.details.reason ?? ''}`.trim() : String(error)
    refused[code] = (refused[code] ?? 0) + 1
    await delay(AGAIN_MS)
  }

  const plain = async (stream: string, peer: string, life: number): Promise<void> => {
    const n = Math.max(last.get(stream) ?? 0, life * NUMBERS_OF_LIFE) + 1
    last.set(stream, n)
    const item = itemOf(stream, n)
    const receipt = await mesh.messages.send(peer, Item, item, optionsOf(item))
    appendFileSync(join(folder, ACKED_FILE), `${stream} ${n} ${receipt.destinations.join(',')}\n`)
  }

  return {
    async run({ count, phase, seed, peers, life, kinds, perSecond }) {
      isHalted = false
      let left = count
      const startedAt = performance.now()
      const [one = ''] = peers
      const names = (Object.keys(KINDS) as KindName[]).filter(
        (kind) => (kinds === undefined || kinds.includes(kind)) && (KINDS[kind].to !== 'list' || peers.length > 1),
      )
      const total = names.reduce((sum, kind) => sum + KINDS[kind].weight, 0)

      const work = async (worker: number): Promise<void> => {
        const random = createRandom(seed * WORKERS + worker)
        const open = new Set<Promise<void>>()
        const pick = (): KindName => {
          let at = random.next() * total
          for (const kind of names) {
            at -= KINDS[kind].weight
            if (at < 0) return kind
          }
          return 'c'
        }
        /** Mostly a stream that no other worker uses: those of others are met now and then. */
        const indexOf = (kind: KindName): number => {
          const { count: streams, by } = KINDS[kind]
          if (streams < WORKERS || (by === 'change' && random.next() < 0.01)) return random.below(streams)
          return (worker + WORKERS * random.below(Math.floor(streams / WORKERS))) % streams
        }
        while (left > 0 && !isHalted) {
          if (perSecond !== undefined && count - left > ((performance.now() - startedAt) * perSecond) / 1_000) {
            await delay(5)
            continue
          }
          left -= 1
          const kind = pick()
          const stream = streamOf(name, phase, kind, indexOf(kind))
          const to = KINDS[kind].to === 'list' ? peers : [one]
          const sending =
            KINDS[kind].by === 'change'
              ? mesh.messages.change((tx) => sendNext(tx, stream, to))
              : plain(stream, one, life)
          const settled = sending.then(
            () => {
              sent += to.length
            },
            async (error: unknown) => {
              left += 1
              await failed(error)
            },
          )
          if (KINDS[kind].by === 'change') {
            await settled
            continue
          }
          const ended = settled.finally(() => open.delete(ended))
          open.add(ended)
          if (open.size >= PIPELINE) await Promise.race(open)
        }
        await Promise.all(open)
      }
      await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))
      return this.figures()
    },
    figures: () => ({ sent, refused: { ...refused } }),
    halt() {
      isHalted = true
    },
  }
}
