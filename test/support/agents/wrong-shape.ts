/** A module whose default export is no agent: its offers were not made by offer(). */
export default { offers: [{ protocol: 'toil' }] }
