/** Deliberate bugs of resources, for the scenario of that name. */
import type { Mutant } from './mutant.ts'

const RESOURCE = 'protocols/resource'

const BUGS: readonly Omit<Mutant, 'scenario'>[] = [
  {
    bug: 'what is used does not count',
    file: `${RESOURCE}/units.ts`,
    find: 'amount > amountOf(capacity, name) - amountOf(used, name)',
    replace: 'amount > amountOf(capacity, name)',
  },
  {
    bug: 'what ends gives nothing back',
    file: `${RESOURCE}/journal/resource-ledger.ts`,
    find: '    this.#giveBack(before)\n    // Who gave it',
    replace: '    // Who gave it',
  },
  {
    bug: 'who gave it and was away does not hear of its end',
    file: `${RESOURCE}/journal/resource-ledger.ts`,
    find: 'const { fence: _fence, ...rest } = before',
    replace: 'const { fence: _fence, places: _places, ...rest } = before',
  },
  {
    bug: 'what is released gives nothing back',
    file: `${RESOURCE}/journal/resource-ledger.ts`,
    find: 'if (isOpen(before)) this.#giveBack(before)',
    replace: '',
  },
  {
    bug: 'a node that was started again forgets what it gave',
    file: `${RESOURCE}/journal/apply-resources.ts`,
    find: 'if (before !== undefined && !isEmpty(before)) {',
    replace: 'if (before !== undefined && before.gives > 99) {',
  },
  {
    bug: 'a part of a gang is granted',
    file: `${RESOURCE}/planner/search.ts`,
    find: 'if (!this.#place(0)) return undefined',
    replace: 'if (!this.#place(this.#field.needs.length - 1)) return undefined',
  },
  {
    bug: 'less is offered than was given',
    file: `${RESOURCE}/journal/apply-resources.ts`,
    find: '    checkCapacity(before, capacity)\n',
    replace: '',
  },
  {
    bug: 'what rests on a node that is over is not ended',
    file: `${RESOURCE}/planner/resource-board.ts`,
    find: 'if (allocation === undefined || !isOpen(allocation)) continue',
    replace: 'if (allocation === undefined || id.length > 0) continue',
  },
  {
    bug: 'a node that is not renewed stays',
    file: `${RESOURCE}/planner/resource-board.ts`,
    find: 'if (monotonic - renewedAt > LEASE_MS + LEASE_MARGIN_MS) want(dismiss)',
    replace: '',
  },
  {
    bug: 'what cannot be granted in time is not denied',
    file: `${RESOURCE}/planner/resource-board.ts`,
    find: 'if (dueAt !== undefined && dueAt <= now)',
    replace: 'if (dueAt !== undefined && id === shape)',
  },
  {
    bug: 'what does not fit is not tried again when something ends',
    file: `${RESOURCE}/planner/resource-board.ts`,
    find: 'if (this.#nodes.set(peer, record, nowMs)) this.#tried.changed()',
    replace: 'this.#nodes.set(peer, record, nowMs)',
  },
  {
    bug: 'a new coordinator does not read what was allocated',
    file: `${RESOURCE}/planner/resource-planner.ts`,
    find: '      this.#set(change)\n      if (change',
    replace: '      if (change',
  },
  {
    bug: 'a lease that is over ends nothing at its node',
    file: `${RESOURCE}/client/node-lease.ts`,
    find: "if (age > LEASE_MS && this.#registration !== undefined) this.#end('the lease of this node is over')",
    replace: '',
  },
  {
    bug: 'a lease that is over ends no claim',
    file: `${RESOURCE}/resources.ts`,
    find: '        this.#claims.endAll(why)\n',
    replace: '',
  },
  {
    bug: 'a node lets begin whatever it is told',
    file: `${RESOURCE}/client/claims.ts`,
    find: 'fits(this.#capacity(), this.#used, units)',
    replace: 'this.#used !== undefined',
  },
  {
    bug: 'what is told before a node knows its registration is forgotten',
    file: `${RESOURCE}/client/claims.ts`,
    find: '    this.#registration = registration\n    this.beginEarly()\n',
    replace: '    this.#registration = registration\n    this.#early.clear()\n',
  },
  {
    bug: 'what waits for the end of another never begins',
    file: `${RESOURCE}/client/claims.ts`,
    find: '    if (before !== undefined) this.beginEarly()\n',
    replace: '',
  },
]

export const RESOURCE_MUTANTS: readonly Mutant[] = BUGS.map((bug) => ({ ...bug, scenario: 'resources' }))
