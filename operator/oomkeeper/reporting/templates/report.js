// The charts: uPlot draws them, the tables beside them hold the same figures.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = [];
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = "12px system-ui, sans-serif";

  const axis = (extra = {}) => ({
    stroke: variable("--soft"), font, grid: { stroke: variable("--line"), width: 1 },
    ticks: { stroke: variable("--line"), width: 1 }, ...extra,
  });
  const bytesText = (bytes) => {
    if (bytes == null) return "-";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
    return `${bytes >= 100 ? bytes.toFixed(0) : bytes.toFixed(1)} ${units[unit]}`;
  };
  // Hours and dates as everywhere else on the page: 24 hours, ISO order, UTC.
  const dates = [
    [86400, "{MM}-{DD}", null, null, null, null, null, null, 1],
    [3600, "{HH}:00", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [60, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  ];
  const powers = Array.from({ length: 44 }, (_, power) => 2 ** power);
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");

  // Bars that stand on one another: each series is drawn as the sum of itself and those before it, the
  // tallest first, so that the shorter ones cover its lower part.
  function timeline() {
    const { start, hours, causes, kills } = data.timeline;
    const times = Array.from({ length: hours }, (_, place) => start + place * 3600);
    const sums = [];
    kills.forEach((series, place) => {
      sums.push(series.map((count, hour) => count + (place ? sums[place - 1][hour] : 0)));
    });
    const order = kills.map((_, place) => place).reverse();
    const bars = uPlot.paths.bars({ size: [0.92, 64], align: 1 });
    return {
      options: {
        height: 260,
        ms: 1e-3,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        cursor: { points: { show: false }, drag: { setScale: false } },
        scales: { x: { range: () => [start, start + hours * 3600] }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
        axes: [axis({ values: dates }), axis({ size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5] })],
        series: [
          { label: "Hour (UTC)", value: (_, time) => (time == null ? "-" : utc(time)) },
          ...order.map((place) => ({
            label: causes[place],
            fill: variable(`--c${place + 1}`),
            stroke: variable(`--c${place + 1}`),
            width: 0,
            paths: bars,
            points: { show: false },
            value: (_, __, ___, hour) => (hour == null ? "-" : kills[place][hour].toLocaleString("en")),
          })),
        ],
      },
      rows: [times, ...order.map((place) => sums[place])],
    };
  }

  // Usage and limit at the last kills of one incident, on a time line.
  function series({ times, usage, limit }) {
    const points = { show: true, size: 7 };
    return {
      options: {
        height: 180,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        cursor: { drag: { setScale: false } },
        scales: { y: { range: (_, __, most) => [0, most * 1.1 || 1] } },
        axes: [axis({ values: dates }), axis({ size: 76, incrs: powers, values: (_, ticks) => ticks.map(bytesText) })],
        series: [
          { label: "Kill (UTC)", value: (_, time) => (time == null ? "-" : utc(time)) },
          { label: "Usage", stroke: variable("--plain"), width: 2, points, value: (_, value) => bytesText(value) },
          { label: "Limit", stroke: variable("--hot"), width: 2, dash: [6, 4], points: { show: false },
            value: (_, value) => bytesText(value) },
        ],
      },
      rows: [times, usage, limit],
    };
  }

  function draw(place, make) {
    const chart = { place, make, plot: null, width: 0 };
    chart.paint = () => {
      const width = place.clientWidth;
      if (!width) return;
      if (chart.plot && width === chart.width) return;
      chart.width = width;
      if (chart.plot) chart.plot.setSize({ width, height: chart.plot.height });
      else {
        const { options, rows } = make();
        chart.plot = new uPlot({ ...options, width }, rows, place);
        // The picture has a name, and its figures are in a table: the legend is for the mouse.
        chart.plot.root.querySelector(".u-legend").setAttribute("aria-hidden", "true");
      }
    };
    charts.push(chart);
    chart.paint();
    new ResizeObserver(chart.paint).observe(place);
  }

  const over = document.getElementById("timeline");
  if (over && data.timeline) draw(over, timeline);
  document.querySelectorAll("[data-series]").forEach((place) => {
    const given = data.series[Number(place.dataset.series)];
    const details = place.closest("details");
    const start = () => draw(place, () => series(given));
    if (!details || details.open) start();
    else details.addEventListener("toggle", start, { once: true });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) {
      if (chart.plot) chart.plot.destroy();
      chart.plot = null;
      chart.paint();
    }
  });
});
