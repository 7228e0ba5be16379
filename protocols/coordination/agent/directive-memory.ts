/**
 * Directives that this agent was given: the same one again is answered as the first time, without being done again. State: the
 * newest of them (bounded), and those that are being done.
 */
import { stateError } from '../../errors.ts'
import type { Directive, DirectiveAnswer } from '../messages.ts'

const MAX_REMEMBERED = 4_096

interface Remembered {
  /** What it says, without when it was sent and as of which decision. */
  readonly text: string
  readonly answer: Promise<DirectiveAnswer>
}

const textOf = ({ target_agent, plan, action, parameters }: Directive): string =>
  JSON.stringify([target_agent, plan, action, parameters])

export class DirectiveMemory {
  readonly #known = new Map<string, Remembered>()
  #repeated = 0

  repeated(): number {
    return this.#repeated
  }

  size(): number {
    return this.#known.size
  }

  /** @throws STA003 `exists` for another directive of the same id; what doing it throws, and then it is not remembered */
  once(directive: Directive, run: () => Promise<DirectiveAnswer>): Promise<DirectiveAnswer> {
    const { directive_id: id } = directive
    const text = textOf(directive)
    const known = this.#known.get(id)
    if (known !== undefined) {
      if (known.text !== text)
        throw stateError('exists', `the directive ${id} was given before, and said something else`, 'use another id', {
          directive: id,
        })
      this.#repeated += 1
      return known.answer
    }
    const answer = run()
    const remembered = { text, answer }
    this.#known.set(id, remembered)
    answer.catch(() => {
      if (this.#known.get(id) === remembered) this.#known.delete(id)
    })
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest)
    return answer
  }
}
