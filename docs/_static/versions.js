// Fills the list of versions from versions.json beside the folders of the versions, such as
//     [{"name": "0.2", "folder": "0.2"}, {"name": "stable", "folder": "stable"}]
// Where there is no such file, as on one's own disk, only the version shown is listed.
const box = document.querySelector(".versions");
if (box && location.protocol !== "file:") {
  const root = new URL(box.dataset.root || "./", location.href);
  const list = box.querySelector("select");
  fetch(new URL("../versions.json", root))
    .then((answer) => (answer.ok ? answer.json() : []))
    .then((versions) => {
      for (const { name, folder } of versions) {
        const target = new URL(`../${folder}/`, root);
        if (target.href !== root.href) list.add(new Option(name, target.href));
      }
      list.addEventListener("change", async () => {
        const page = list.value + box.dataset.page;
        const there = await fetch(page, { method: "HEAD" });
        location.href = there.ok ? page : list.value;
      });
    })
    .catch(() => {});
}
