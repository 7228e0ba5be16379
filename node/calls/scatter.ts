/** One request to many peers at once, and their answers as they come: until enough came, or nothing came for a while. */
import { Fifo } from '../../protocols/async.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Timers } from '../../protocols/port.ts'
import type { AgentNames } from './call-address.ts'
import type { ByteCallOptions, Reply } from './clients.ts'
import type { MethodCodec } from './method-codecs.ts'
import type { RetryingCall } from './retrying-call.ts'

export interface ScatterDeps {
  readonly timers: Timers
  readonly names: AgentNames
  readonly invoke: RetryingCall
}

/** Who is asked: `name` is empty where only the peer id is known, and the same as `peer` where only the name is. */
export interface ScatterTarget {
  readonly peer: string
  readonly name: string
}

/** Answers that came and were not taken yet. */
class ReplyQueue {
  readonly #timers: Timers
  readonly #stallMs: number | undefined
  readonly #replies: Fifo<Reply<unknown>>
  #pending: number
  #wake: (() => void) | undefined

  constructor(timers: Timers, stallMs: number | undefined, pending: number) {
    this.#timers = timers
    this.#stallMs = stallMs
    this.#pending = pending
    this.#replies = new Fifo(pending)
  }

  add(reply: Reply<unknown>): void {
    this.#pending -= 1
    this.#replies.put(reply)
    this.#wake?.()
  }

  /** Somebody works on it: that is no stall. */
  progressed(): void {
    this.#wake?.()
  }

  /** More may come, or wait to be taken. */
  isOpen(): boolean {
    return this.#pending > 0 || this.#replies.size() > 0
  }

  take(): Reply<unknown> | undefined {
    return this.#replies.take()
  }

  /** Waits for something to come. @returns true where nothing came for too long */
  isStalled(): Promise<boolean> {
    return new Promise((resolve) => {
      const stopTimer = this.#stallMs === undefined ? () => {} : this.#timers.after(this.#stallMs, () => resolve(true))
      this.#wake = () => {
        stopTimer()
        this.#wake = undefined
        resolve(false)
      }
    })
  }
}

export async function* scatter(
  { timers, names, invoke }: ScatterDeps,
  target: MethodCodec,
  targets: () => readonly ScatterTarget[] | Promise<readonly ScatterTarget[]>,
  payload: Uint8Array,
  options: ByteCallOptions,
): AsyncGenerator<Reply<unknown>, void, undefined> {
  const asked = await targets()
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
  const queue = new ReplyQueue(timers, options.stallMs, asked.length)
  const onProgress: ByteCallOptions['onProgress'] = (report, peer) => {
    queue.progressed()
    options.onProgress?.(report, peer)
  }
  const given = { ...options, signal, onProgress }
  const { around } = options
  const ask = (peer: string, own: ByteCallOptions): Promise<unknown> =>
    around === undefined
      ? invoke.unary(peer, target, payload, own)
      : around(peer, own, (bytes, changed) => invoke.unary(peer, target, bytes, changed))
  for (const { peer: called, name } of asked) {
    let peer = called
    const found = name === called ? names.resolve(name, target, given) : undefined
    const answer =
      found === undefined
        ? ask(peer, given)
        : found.then((resolved) => {
            peer = resolved.peer
            return ask(peer, resolved.options)
          })
    answer.then(
      (value) => queue.add({ peer, name, value }),
      (error: unknown) => queue.add({ peer, name, error }),
    )
  }
  let succeeded = 0
  try {
    while (queue.isOpen()) {
      const reply = queue.take()
      if (reply === undefined) {
        if (await queue.isStalled()) return
        continue
      }
      if (options.signal?.aborted) throw options.signal.reason
      yield reply
      if (!('error' in reply)) succeeded += 1
      if (options.count !== undefined && succeeded >= options.count) return
    }
  } finally {
    stop.abort(new ParleyError('COM001', 'enough answers came', { hint: 'stop working on it' }))
  }
}
