/**
 * When the own record is written, and that it is told: when the program changes it, when others have an older or a foreign
 * version of it, when somebody comes who has not heard of this node, in each third of its ttl, and when the node leaves.
 *
 * State: the own record's writer, the newest record's way out, the timer of the next publication.
 */
import { within } from '../../../protocols/async.ts'
import type { Port, Stop } from '../../../protocols/port.ts'
import { fraction } from '../../two-choices.ts'
import type { DirectoryCounts } from '../directory-counts.ts'
import type { DirectorySettings } from '../protocol.ts'
import type { AgentRecord, Departure, RecordVersion, SignedRecord } from '../record/agent-record.ts'
import { type Announcement, createIdentityConflict, createOwnRecord, type WriteReason } from '../record/own-record.ts'

export interface OwnPresenceDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'sign'>
  readonly settings: Pick<DirectorySettings, 'ttlMs' | 'syncPeriodMs' | 'leaveTimeoutMs'>
  readonly counts: DirectoryCounts
  /** A version was written. */
  written(record: AgentRecord, signed: SignedRecord): void
  /** Tells it. Never rejects. */
  spread(signed: SignedRecord, reason: WriteReason): Promise<void>
  /** Whether gossip should carry the own record anew; where everybody is connected nobody counts the ttl. */
  isFar(): boolean
}

export class OwnPresence {
  readonly #deps: OwnPresenceDeps
  readonly #own: ReturnType<typeof createOwnRecord>
  readonly #claims: ReturnType<typeof createIdentityConflict>
  #lastSpread = Promise.resolve()
  #isNew = false
  #stopPublishing: Stop = () => {}

  /** @throws MSG001 when the node's own name or mesh does not fit into a record */
  constructor(deps: OwnPresenceDeps) {
    const { port, settings, counts } = deps
    this.#deps = deps
    this.#own = createOwnRecord(port, settings.ttlMs, {
      written: (record, signed, reason) => {
        deps.written(record, signed)
        this.#lastSpread = deps.spread(signed, reason)
      },
      schemasDropped: (count) => counts.events.add('schema_dropped', count),
    })
    this.#claims = createIdentityConflict(port, settings.syncPeriodMs, (version) =>
      this.#inBackground(this.#own.exceed(version)),
    )
  }

  /** Writes the first version; others are served after that. @throws what `port.sign` throws */
  begin(): Promise<void> {
    return this.#own.introduce()
  }

  announce(update: Announcement): Promise<void> {
    return this.#own.announce(update)
  }

  /** A record of this identity that this process did not write. */
  onClaim(version: RecordVersion): void {
    this.#claims.add(version)
  }

  /**
   * A joiner wrote its record before it had a neighbour: writes it again, as gossip does not carry the same bytes
   * twice, and once more in a while, when the neighbours of its neighbours are there too.
   */
  introduce(): void {
    this.#isNew = true
    this.#inBackground(this.#own.introduce())
  }

  /** Each `syncPeriodMs`. */
  tick(): void {
    this.#claims.settle()
    if (this.#isNew) this.#inBackground(this.#own.introduce())
    this.#isNew = false
  }

  /** Each third of the ttl, a little earlier at random: nodes that started together do not publish together. */
  publishLater(): void {
    const { port, settings, isFar } = this.#deps
    this.#stopPublishing = port.timers.after((settings.ttlMs / 3) * (0.8 + 0.2 * fraction(port.random(4))), () => {
      if (isFar()) this.#inBackground(this.#own.introduce())
      this.publishLater()
    })
  }

  /** Resolves when the farewell is sent, or after `leaveTimeoutMs`. */
  async leave(departure: Departure): Promise<void> {
    const { port, settings } = this.#deps
    this.#stopPublishing()
    await this.#own.leave(departure)
    await within(port.timers, settings.leaveTimeoutMs, this.#lastSpread)
  }

  stop(): void {
    this.#stopPublishing()
    this.#own.stop()
  }

  /** For versions that nobody waits for. */
  #inBackground(writing: Promise<void>): void {
    writing.catch((error) => {
      this.#deps.counts.events.add('sign_failed')
      this.#deps.port.log.error('the own agent record could not be signed', { original_error: String(error) })
    })
  }
}
