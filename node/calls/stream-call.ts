/** One call with many answers. It is tried again as long as no stream is open; what has begun goes on or fails. */
import { isBreakerOpenError } from '../../protocols/delivery/recovery/peer-breakers.ts'
import type { Caller } from '../../protocols/wire/caller/caller.ts'
import type { CallAttempts } from './call-attempts.ts'
import { endOf, laterOptions, type PeerCallOptions, timeoutOf, toOutgoingCall } from './call-budget.ts'
import type { MethodCodec } from './method-codecs.ts'

export class StreamCall implements AsyncIterableIterator<unknown> {
  readonly #attempts: CallAttempts
  readonly #peer: string
  readonly #target: MethodCodec
  readonly #payload: Uint8Array
  readonly #options: PeerCallOptions
  readonly #startedAt: number
  #source: AsyncIterableIterator<Uint8Array> | undefined
  #isEnded = false
  #probe: number | undefined
  #isAnswered = false

  constructor(
    attempts: CallAttempts,
    peer: string,
    target: MethodCodec,
    payload: Uint8Array,
    options: PeerCallOptions,
  ) {
    this.#attempts = attempts
    this.#peer = peer
    this.#target = target
    this.#payload = payload
    this.#options = options
    this.#startedAt = attempts.now()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<unknown>> {
    try {
      if (this.#isEnded) return { value: undefined, done: true }
      this.#source ??= await this.#begin()
      const result = await this.#source.next()
      if (!this.#isAnswered) {
        this.#isAnswered = true
        this.#attempts.answered(this.#peer, this.#target, this.#probe)
      }
      if (result.done === true) {
        this.#end('ok')
        return { value: undefined, done: true }
      }
      return { value: this.#target.codec.decode(result.value), done: false }
    } catch (error) {
      if (!this.#isEnded)
        this.#attempts.failed(this.#peer, this.#target, this.#startedAt, error, this.#options.signal, this.#probe)
      this.#isEnded = true
      if (isBreakerOpenError(error)) await this.#attempts.nextTurn()
      await this.#source?.return?.()
      throw error
    }
  }

  async return(): Promise<IteratorResult<unknown>> {
    if (this.#probe !== undefined && !this.#isAnswered) this.#attempts.abandoned(this.#peer, this.#probe)
    this.#end('canceled')
    await this.#source?.return?.()
    return { value: undefined, done: true }
  }

  #begin(): Promise<AsyncIterableIterator<Uint8Array>> {
    const target = this.#target
    const options = this.#options
    this.#probe = this.#attempts.enter(this.#peer, target, options)
    const link = this.#attempts.openLink(this.#peer, target.protocolId)
    if (link !== undefined) return this.#open(link, this.#payload, timeoutOf(target, options))
    return this.#attempts.run({
      peer: this.#peer,
      target,
      payload: this.#payload,
      options,
      run: (opened, payload, leftMs) => this.#open(opened, payload, leftMs),
      deadlineAt: () => endOf(target, options, this.#startedAt, 0),
    })
  }

  async #open(link: Caller, payload: Uint8Array, leftMs: number): Promise<AsyncIterableIterator<Uint8Array>> {
    const { onProgress } = this.#options
    const later = laterOptions(this.#target, this.#options, this.#startedAt, this.#attempts.now())
    return link.stream({
      ...toOutgoingCall(this.#target, payload, later, leftMs),
      onProgress: onProgress && ((report) => onProgress(report, this.#peer)),
    })
  }

  #end(status: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#attempts.finished(this.#peer, this.#target, this.#startedAt, status)
  }
}
