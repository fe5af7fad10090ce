/** One ticking clock for every relative time on the screen; a timer a row would wake the tab hundreds of times. */
let t = $state(Date.now());

const tick = () => {
  if (document.visibilityState === 'visible') t = Date.now();
};
setInterval(tick, 5_000);
document.addEventListener('visibilitychange', tick);

export const now = () => t;
