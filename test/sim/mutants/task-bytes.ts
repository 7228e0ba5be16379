/** Deliberate bugs of large values of tasks, found by nodes that lose copies, damage them and stay away. */
import type { Mutant } from './mutant.ts'

const BYTES = 'protocols/task/bytes'
const STORE = 'node/store/bytes/held-bytes-store.ts'

const FOUND: readonly Mutant[] = [
  {
    bug: 'a holder answers before it has the value on disk',
    file: `${BYTES}/bytes-keeper.ts`,
    find: 'await store.keep(held, bytes)',
    replace: 'store.keep(held, bytes).catch(() => {})',
  },
  {
    bug: 'a large value gets its name before its bytes are synced',
    file: STORE,
    find: '      await file.sync()\n',
    replace: '',
  },
  {
    bug: 'the name of a large value is not synced',
    file: STORE,
    find: '    await this.#disk.rename(part, name)\n    await this.#disk.syncNames()\n',
    replace: '    await this.#disk.rename(part, name)\n',
  },
  {
    bug: 'who refused to hold a value is named as its holder',
    file: `${BYTES}/holder-requests.ts`,
    find: '          failed.push(error)\n          this.#note(peer, error)\n',
    replace: '          found.push(peer)\n          this.#note(peer, error)\n',
  },
  {
    bug: 'a holder that is gone is never replaced',
    file: `${BYTES}/bytes-care.ts`,
    find: 'if (!there.includes(peer)) await this.#copy(held, holders, peer)',
    replace: 'if (!there.includes(peer)) continue',
  },
  {
    bug: 'a holder that was replaced is still named',
    file: 'protocols/task/journal/rehold-kind.ts',
    find: 'const rest = holders.filter((peer) => peer !== from)',
    replace: 'const rest = [...holders]',
  },
  {
    bug: 'a value with too few holders gets no more of them',
    file: `${BYTES}/bytes-care.ts`,
    find: 'if (holders.length < COPIES) await this.#copy(held, holders, undefined)',
    replace: '',
  },
  {
    bug: 'a holder that lost its copy does not get it again',
    file: `${BYTES}/bytes-care.ts`,
    find: "else if (this.#isGone(peer) === 'there' && !(await this.#has(peer, held))) await this.#again(held, peer)",
    replace: '',
  },
  {
    bug: 'copies are made of a damaged one',
    file: `${BYTES}/bytes-keeper.ts`,
    find: 'if (store === undefined || held === undefined || !(await this.#isGood(store, held))) return undefined',
    replace: 'if (store === undefined || held === undefined) return undefined',
  },
  {
    bug: 'a value is removed after its hour although a task refers to it',
    file: `${BYTES}/bytes-care.ts`,
    find: 'if (stored !== undefined && isMine) return this.#keepCopies(held, stored)',
    replace:
      'const isNew = port.clock.now() - held.at < this.#options.orphanMs\n    if (stored !== undefined && isMine && isNew) return this.#keepCopies(held, stored)',
  },
  {
    bug: 'what no task refers to stays',
    file: `${BYTES}/bytes-care.ts`,
    find: '    await store.remove(held)\n',
    replace: '',
  },
  {
    bug: 'the result of a task is not looked for among what refers to values',
    file: 'protocols/task/journal/rehold-kind.ts',
    find: '...(row === RESULT_ROW || row === INPUT_ROW ?',
    replace: '...(row === INPUT_ROW ?',
  },
  {
    bug: 'the hash of what a holder sends is not checked',
    file: `${BYTES}/bytes-sources.ts`,
    find: "if (size !== place.size || encodeText(made.digest(), 'base16') !== place.hash) throw",
    replace: 'if (size !== place.size) throw',
  },
  {
    bug: 'a task waits for ever for a value that is lost',
    file: `${BYTES}/bytes-transfers.ts`,
    find: 'if (port.clock.monotonic() >= until) {',
    replace: 'if (port.clock.monotonic() < 0) {',
  },
  {
    bug: 'a value counts as lost at once',
    file: `${BYTES}/bytes-transfers.ts`,
    find: 'const until = port.clock.monotonic() + awayMs',
    replace: 'const until = port.clock.monotonic() + 0 * awayMs',
  },
  {
    bug: 'where one holder has lost a value the others are not asked',
    file: `${BYTES}/bytes-transfers.ts`,
    find: '          last = error\n',
    replace: '          throw error\n',
  },
  {
    bug: 'the turn of a transfer is not given back',
    file: `${BYTES}/transfer-slots.ts`,
    find: '      count(this.#atWork, peer, -1)\n      this.#next()\n',
    replace: '      count(this.#atWork, peer, -1)\n',
  },
  {
    bug: 'an effect that was recorded with a large value is handed on as where that is',
    file: 'protocols/task/worker/recorded-effect.ts',
    find: 'return (await load(known, row)) as T',
    replace: 'return known as T',
  },
]

export const TASK_BYTES_MUTANTS: readonly Mutant[] = FOUND.map((mutant) => ({ ...mutant, scenario: 'tasks' }))
