/**
 * What a node of a crash run does while it coordinates: it decides a directive through the journal, sends it to the
 * receiver with the fence of the decision, and so on. It also keeps the last one: whenever this process stood still for a
 * while (it was frozen, or its event loop was blocked), the first thing that it does is to send that one, late, as a
 * coordinator that does not know what happened meanwhile, and to read the counter, which must be as new as ever.
 *
 * State: the last directive, what became of those that were sent, what was read on waking (bounded).
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Fence } from '../../protocols/journal/fencing/fence.ts'
import { COUNTER, directCommand, receiverProtocol } from './commands.ts'

const LOOK_MS = 20
/** A process that was late by so much stood still; a busy machine is late by less. */
const STOOD_STILL_MS = 1_000
const MAX_AWAKENINGS = 256
const DECIDE_MS = 5_000

export interface Awakening {
  readonly stoodMs: number
  /** What became of the directive of before: `let through`, a code, or `none` where there was none. */
  readonly late: string
  /** The counter as it was read then; undefined: it could not be. */
  readonly counter: { readonly value: string; readonly version: number } | 'absent' | undefined
}

export interface Acted {
  readonly decided: number
  readonly sent: number
  /** How many were not let through, or not decided, by code. */
  readonly refused: Record<string, number>
  readonly awakenings: readonly Awakening[]
}

export interface Acting {
  acted(): Acted
  pause(paused: boolean): void
}

interface Directive {
  readonly epoch: number
  readonly fence: Fence
}

const codeOf = (error: unknown): string => (isParleyError(error) ? error.code : String(error))

/** @param receiver peer id */
export const startActing = (mesh: Mesh, receiver: string, everyMs: number): Acting => {
  const counts = { decided: 0, sent: 0 }
  const refused: Record<string, number> = {}
  const awakenings: Awakening[] = []
  let last: Directive | undefined
  let paused = false
  let seenAt = performance.now()

  const failed = (error: unknown): string => {
    const code = codeOf(error)
    refused[code] = (refused[code] ?? 0) + 1
    return code
  }
  const send = async (directive: Directive, late: boolean): Promise<void> => {
    await mesh.to(receiver, receiverProtocol).take({ ...directive, late })
    counts.sent += 1
  }

  const wake = async (stoodMs: number, directive: Directive | undefined): Promise<void> => {
    const sending = directive === undefined ? 'none' : send(directive, true).then(() => 'let through', failed)
    const reading = mesh.journal.get(COUNTER, { timeoutMs: DECIDE_MS }).then(
      (record) =>
        record === undefined ? ('absent' as const) : { value: String(record.value), version: record.version },
      () => undefined,
    )
    const [late, counter] = await Promise.all([sending, reading])
    if (awakenings.length < MAX_AWAKENINGS) awakenings.push({ stoodMs, late, counter })
  }
  setInterval(() => {
    const now = performance.now()
    const stoodMs = now - seenAt
    seenAt = now
    if (stoodMs >= STOOD_STILL_MS) void wake(stoodMs, last)
  }, LOOK_MS).unref()

  mesh.coordinator.act(async ({ epoch, signal }) => {
    while (!signal.aborted) {
      try {
        if (!paused) {
          const { fence } = await mesh.journal.submit(directCommand, { epoch }, { signal, timeoutMs: DECIDE_MS })
          counts.decided += 1
          last = { epoch, fence }
          await send(last, false)
        }
      } catch (error) {
        failed(error)
      }
      await delay(everyMs, undefined, { signal }).catch(() => {})
    }
  })

  return {
    acted: () => ({ ...counts, refused: { ...refused }, awakenings: [...awakenings] }),
    pause(now) {
      paused = now
    },
  }
}
