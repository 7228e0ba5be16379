/**
 * Messages AT_MOST_ONCE at their receiver: handed to their handler at once, and nobody sends them again.
 *
 * State: how many are at work, at most MAX_FIRED; further ones are dropped and counted.
 */
import type { Port } from '../../port.ts'
import { decodeMessage, logFieldsOf } from '../durable-message.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { HandlerRunner } from './handler-runner.ts'

export interface UnkeptMessagesDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: Pick<RowStore, 'commit'>
  readonly runner: Pick<HandlerRunner, 'run'>
  count(what: 'processed' | 'failed' | 'fireDropped'): void
}

const MAX_FIRED = 1_024

export class UnkeptMessages {
  readonly #deps: UnkeptMessagesDeps
  #atWork = 0
  #isStopped = false

  constructor(deps: UnkeptMessagesDeps) {
    this.#deps = deps
  }

  arrived(peer: string, bytes: Uint8Array): void {
    if (this.#isStopped || this.#atWork >= MAX_FIRED) this.#deps.count('fireDropped')
    else void this.#process(peer, bytes)
  }

  async #process(source: string, bytes: Uint8Array): Promise<void> {
    const { port, store, runner, count } = this.#deps
    this.#atWork += 1
    try {
      const message = decodeMessage(new Uint8Array(bytes))
      const receivedAt = port.clock.monotonic()
      const expiresAt = message.ttlMs === undefined ? undefined : receivedAt + message.ttlMs
      let commit: Promise<void> | undefined
      const fault = await runner.run({ message, source, attempt: 1, receivedAt, expiresAt }, (outcome) => {
        if (outcome.commit === undefined) return
        const { changes, launch, drop } = outcome.commit
        commit = store.commit(changes).then(launch, (error: unknown) => {
          drop()
          throw error
        })
      })
      await commit
      count(fault === undefined ? 'processed' : 'failed')
    } catch (error) {
      count('failed')
      port.log.info('a message AT_MOST_ONCE was not processed', { source, ...logFieldsOf(bytes), error })
    } finally {
      this.#atWork -= 1
    }
  }

  stop(): void {
    this.#isStopped = true
  }
}
