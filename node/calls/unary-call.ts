/** One call with one answer. The common case in as few steps as possible: the link is open, the first attempt succeeds. */
import type { Progress } from '../../protocols/define.ts'
import { isBreakerOpenError } from '../../protocols/delivery/recovery/peer-breakers.ts'
import type { Caller, ResponseSink } from '../../protocols/wire/caller/caller.ts'
import { decodePayload } from '../../protocols/wire/payload/payload.ts'
import type { CallAttempts } from './call-attempts.ts'
import { attemptMs, endOf, laterOptions, type PeerCallOptions, timeoutOf, toOutgoingCall } from './call-budget.ts'
import type { MethodCodec } from './method-codecs.ts'

export class UnaryCall implements ResponseSink {
  readonly #attempts: CallAttempts
  readonly #peer: string
  readonly #target: MethodCodec
  readonly #payload: Uint8Array
  readonly #options: PeerCallOptions
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: unknown) => void
  readonly #startedAt: number
  #probe: number | undefined = undefined
  /** 0 before the first report. */
  #progressedAt = 0

  constructor(
    attempts: CallAttempts,
    peer: string,
    target: MethodCodec,
    payload: Uint8Array,
    options: PeerCallOptions,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#attempts = attempts
    this.#peer = peer
    this.#target = target
    this.#payload = payload
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    this.#startedAt = attempts.now()
  }

  start(): void {
    const target = this.#target
    const options = this.#options
    try {
      this.#probe = this.#attempts.enter(this.#peer, target, options)
      const link = this.#attempts.openLink(this.#peer, target.protocolId)
      if (link === undefined) {
        this.#again()
        return
      }
      const timeoutMs = attemptMs(target, options, timeoutOf(target, options))
      link.request(toOutgoingCall(target, this.#payload, options, timeoutMs), this, this.#startedAt)
    } catch (error) {
      if (isBreakerOpenError(error)) void this.#attempts.nextTurn().then(() => this.#end(error))
      else this.#end(error)
    }
  }

  done(bytes: Uint8Array): void {
    this.#attempts.answered(this.#peer, this.#target, this.#probe)
    let value: unknown
    try {
      value =
        this.#options.replyTo === undefined ? this.#target.codec.decode(bytes) : { id: decodePayload('json', bytes) }
    } catch (error) {
      this.#end(error)
      return
    }
    this.#attempts.finished(this.#peer, this.#target, this.#startedAt, 'ok')
    this.#resolve(value)
  }

  progress(report: Progress): void {
    this.#progressedAt = this.#attempts.now()
    this.#options.onProgress?.(report, this.#peer)
  }

  /** Of the first attempt. */
  fail(error: unknown): void {
    this.#again({ error })
  }

  /** The long way: opens a link where there is none, waits and tries again where that may help. */
  #again(first?: { error: unknown }): void {
    const target = this.#target
    const options = this.#options
    const startedAt = this.#startedAt
    const run = (link: Caller, payload: Uint8Array, leftMs: number): Promise<Uint8Array> => {
      const later = laterOptions(target, options, startedAt, this.#attempts.now())
      const call = toOutgoingCall(target, payload, later, attemptMs(target, options, leftMs))
      return link.unary({ ...call, onProgress: (report) => this.progress(report) })
    }
    const deadlineAt = (): number => endOf(target, options, startedAt, this.#progressedAt)
    this.#attempts.run({ peer: this.#peer, target, payload: this.#payload, options, run, deadlineAt }, first).then(
      (bytes) => this.done(bytes),
      (error: unknown) => this.#end(error),
    )
  }

  #end(error: unknown): void {
    this.#attempts.failed(this.#peer, this.#target, this.#startedAt, error, this.#options.signal, this.#probe)
    this.#reject(error)
  }
}
